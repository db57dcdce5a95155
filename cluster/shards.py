"""Which shard has just become full: counted from receipts, so that a running sweep lists nothing."""

from collections.abc import Mapping

from sampling.samples import Shard, Unit


class OpenShards:
    """``missing`` says how many units each shard lacks, of those shards whose units are all planned."""

    def __init__(self, missing: Mapping[Shard, int]) -> None:
        self._missing = dict(missing)

    def filled_by(self, unit: Unit) -> bool:
        """Counts a committed unit; whether it was the last one that its shard lacked."""
        left = self._missing.get(unit.in_shard, 0)
        self._missing[unit.in_shard] = left - 1
        return left == 1
