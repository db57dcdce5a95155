"""MLflow: one run, found again by a tag, its progress and numbers as metrics, its curves as metrics with k as step."""

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from jobs.sweep import MlflowSettings
from jobs.track.entries import Entries, TrackedRun

ID, DIGEST = "troop.id", "troop.digest"
MOST_METRICS, MOST_TAGS, LONGEST_TAG = 1000, 100, 5000  # of one request
_NOT_IN_NAMES = re.compile(r"[^\w./: -]", re.ASCII)
T = TypeVar("T")


class MlflowLog:
    """A run of MLflow, which is found or made when there is something to log."""

    def __init__(self, settings: MlflowSettings, run: TrackedRun) -> None:
        self._settings, self._tracked = settings, run

    @property
    def place(self) -> str:
        """Name of the run at the tracker, for people."""
        return f"mlflow {self._settings.experiment}, tag {ID} = {self._tracked.id}"

    def progress(self, values: Mapping[str, float]) -> None:
        step = int(values["progress/committed"])
        self._log([(name, value, step) for name, value in values.items()])

    def final(self, entries: Entries) -> None:
        """Logs the entries, unless this very run has them already."""
        if self._client.get_run(self._run_id).data.tags.get(DIGEST) == entries.digest:
            return
        self._log([(name, value, 0) for name, value in entries.metrics.items()])
        for name in ("value", "low", "high"):
            end = "" if name == "value" else f"_{name}"
            points = [(point, getattr(point, name)) for point in entries.curves]
            self._log([(f"{p.model}/{p.task}/coverage{end}", v, p.k) for p, v in points if v is not None])
        self._tag({f"troop.{name}": text for name, text in entries.provenance.items()})
        self._tag({DIGEST: entries.digest})  # last: what is cut off is logged again
        self._client.set_terminated(self._run_id)

    def close(self) -> None:
        """Does nothing: every request is complete in itself."""

    @cached_property
    def _client(self) -> Any:
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        return MlflowClient(self._settings.uri)

    @cached_property
    def _run_id(self) -> str:
        client, name = self._client, self._settings.experiment
        known = client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else client.create_experiment(name)
        found = client.search_runs([experiment], f"tags.`{ID}` = '{self._tracked.id}'")
        if found:
            return str(found[0].info.run_id)
        return str(client.create_run(experiment, run_name=self._tracked.name, tags={ID: self._tracked.id}).info.run_id)

    def _log(self, metrics: Sequence[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        made = [Metric(_NOT_IN_NAMES.sub("_", name), value, now, step) for name, value, step in metrics]
        for part in _parts(made, MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=part)

    def _tag(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        made = [RunTag(_NOT_IN_NAMES.sub("_", name), text[:LONGEST_TAG]) for name, text in tags.items()]
        for part in _parts(made, MOST_TAGS):
            self._client.log_batch(self._run_id, tags=part)


def _parts(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    return (items[start : start + most] for start in range(0, len(items), most))
