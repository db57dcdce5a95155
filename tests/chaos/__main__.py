"""Command line: ``python -m tests.chaos --kills 500 --faults 500 --seed 1`` prints what was done and what was found."""

import argparse
import contextlib
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.injector import Injector, strikes
from tests.chaos.places import Place, bad_bucket
from tests.chaos.rounds import Arena, Failed, Round
from tests.chaos.session import ROLES, become_subreaper
from tests.chaos.sweep import Size, write_inputs
from tests.support.s3_server import CannotStart

EXIT_NO_SERVER = 77


@dataclass(frozen=True)
class Figures:
    """Everything that is printed; ``unlike`` counts rounds whose coverage table differs from the undisturbed run's."""

    seed: int
    drivers: int
    rounds: list[Round]
    kills: Counter[str]
    freezes: Counter[str]
    network: Counter[str]
    unlike: int

    @property
    def clean(self) -> bool:
        return not self.unlike and not any(sum(r.findings.faults.values()) for r in self.rounds)

    @property
    def orphans(self) -> int:
        return sum(r.findings.orphans for r in self.rounds)

    def as_rows(self) -> dict[str, object]:
        """Returns name and value of each figure, in the order of the table."""
        exits = sum((r.exits for r in self.rounds), Counter[int]())
        wrong = sum((Counter(r.findings.faults) for r in self.rounds), Counter[str]())
        stores = Counter(r.store for r in self.rounds)
        return {
            "seed": self.seed,
            "drivers of one run at once": self.drivers,
            **{f"rounds, {store}": count for store, count in sorted(stores.items())},
            "kills and freezes": self.kills.total() + self.freezes.total(),
            **{f"killed, {role}": self.kills[role] for role in ROLES},
            **{f"frozen, {role}": self.freezes[role] for role in ROLES},
            "network faults": self.network.total(),
            **{f"network, {kind}": count for kind, count in sorted(self.network.items())},
            "drivers started": exits.total(),
            "drivers that ended with units set aside": exits[3],
            "drivers to whom store or Ray did not answer": exits[2],
            "units": sum(r.findings.units for r in self.rounds),
            "samples files of attempts that lost": self.orphans,
            "the same, % of units": round(100 * self.orphans / sum(r.findings.units for r in self.rounds), 2),
            "rows": sum(r.findings.rows for r in self.rounds),
            **{f"rows {name}": wrong[name] for name in ("lost", "foreign", "wrong")},
            "duplicate rows": wrong["duplicates"],
            "verdicts without samples": wrong["without_samples"],
            "damaged samples files": wrong["damaged"],
            "coverage tables unlike the undisturbed run's": self.unlike,
            "seconds": round(sum(r.seconds for r in self.rounds)),
        }


def main() -> int:
    """Returns 0 where nothing was lost, doubled or wrong, else 1."""
    given = _arguments()
    become_subreaper()
    size = Size(given.problems, given.k, given.adaptive)
    with tempfile.TemporaryDirectory(prefix="tc-", dir="/tmp") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        write_inputs(folder, size)
        try:
            places = _places(given, folder, stack)
        except CannotStart as error:
            _say(f"no real S3 server: {error}")
            return EXIT_NO_SERVER
        try:
            figures = _run_rounds(given, Arena(folder, size, given.drivers), places)
        except Failed as error:
            _say(str(error))
            return 1
        except KeyboardInterrupt:
            _say("interrupted; all processes that it started have ended")
            return 130
    rows = figures.as_rows()
    print("\n".join(["| | |", "|---|---:|", *(f"| {name} | {_number(value)} |" for name, value in rows.items())]))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))
    return 0 if figures.clean else 1


def _run_rounds(given: argparse.Namespace, arena: Arena, places: dict[str, Place]) -> Figures:
    """Runs rounds in each place in turn until there were enough strikes and, with a network, enough faults."""
    network = next((place.network for place in places.values() if place.network), None)
    reference, unlike = arena.run_undisturbed(), 0
    _say(f"undisturbed: {reference.rows:,} rows")
    injector, deadline = Injector(strikes(given.seed, given.pause)), time.monotonic() + 60 * given.minutes
    for kind, place in itertools.cycle(places.items()):
        left = given.kills - injector.struck
        faults_left = given.faults - network.counts.total() if network else 0
        enough = (left <= 0 and faults_left <= 0) or time.monotonic() > deadline
        if enough and len(arena.rounds) >= len(places):
            break
        if left <= 0 < faults_left and place.network is None:
            continue
        injector.left = min(left, given.strikes)
        done = arena.run_disturbed(kind, place, injector)
        unlike += done.findings.coverage != reference.coverage
        _say(f"{kind}, {done.seconds:.0f} s: drivers ended {dict(done.exits)}, {done.findings.faults}")
        _say(f"{injector.struck} kills and freezes, {network.counts.total() if network else 0} network faults so far")
    counts = network.counts if network else Counter[str]()
    return Figures(given.seed, given.drivers, arena.rounds, injector.kills, injector.freezes, counts, unlike)


def _places(given: argparse.Namespace, folder: Path, stack: contextlib.ExitStack) -> dict[str, Place]:
    places = {}
    if given.store in ("directory", "both"):
        places["directory"] = Place(str(folder / "runs"))
    if given.store in ("s3", "both"):
        places["s3"] = stack.enter_context(bad_bucket(folder / "s3", given.rate, given.seed))
    return places


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--store", choices=("directory", "s3", "both"), default="both")
    parser.add_argument("--kills", type=int, default=500, help="kills and freezes in all")
    parser.add_argument("--faults", type=int, default=500, help="network faults at least")
    parser.add_argument("--drivers", type=int, default=1, help="drivers that work on one run at once")
    parser.add_argument("--seed", type=int, default=1, help="seed of all choices")
    parser.add_argument("--strikes", type=int, default=60, help="kills and freezes in one round at most")
    parser.add_argument("--pause", type=float, default=0.3, help="mean seconds between two of them")
    parser.add_argument("--rate", type=float, default=0.15, help="share of requests that go wrong")
    parser.add_argument("--problems", type=int, default=20, help="problems of the sweep; each is k / 64 units")
    parser.add_argument("--k", type=int, default=1024, help="samples per problem")
    parser.add_argument("--adaptive", action="store_true", help="problems that pass get fewer samples, by rounds")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="start no new round after that time")
    parser.add_argument("--json", type=Path, help="the same figures, for a script")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"chaos: {text}", file=sys.stderr, flush=True)


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(main())
