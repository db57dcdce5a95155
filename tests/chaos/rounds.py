"""Rounds of chaos: one run each, tormented until it is complete, then examined and compared."""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.compare import Findings, examine
from tests.chaos.places import Place
from tests.chaos.session import Session, nothing_left_behind
from tests.chaos.sweep import Size, write_sweep
from tests.chaos.tormentor import Tormentor

KILLED, DONE, GAVE_UP, SET_ASIDE = -9, 0, 2, 3  # how a driver may end
PATIENCE = 20  # drivers of one run that may find a store or a Ray that does not answer
LEAVE_S = 30.0  # for Ray's processes to notice that their driver is gone


class Failed(Exception):
    """Something happened that no torment excuses; the message has the end of the log."""


@dataclass(frozen=True)
class Round:
    """What came of one run; ``exits`` counts how its drivers ended."""

    store: str
    seconds: float
    exits: Counter[int]
    findings: Findings


@dataclass
class Arena:
    """Where and with what all rounds take place."""

    folder: Path
    size: Size
    rounds: list[Round] = field(default_factory=list)

    def undisturbed(self) -> Findings:
        """The same sweep, left in peace."""
        place = Place(str(self.folder / "runs"))
        done = self._run("peace", place, Tormentor(iter(())))
        if set(done.exits) - {DONE, GAVE_UP} or any(done.findings.faults.values()):
            raise Failed(f"the undisturbed run is not whole: {done.exits}, {done.findings.faults}")
        return done.findings

    def tormented(self, kind: str, place: Place, tormentor: Tormentor) -> Round:
        """One more round; its run is complete, whatever else it is."""
        done = self._run(f"{kind}-{len(self.rounds)}", place, tormentor)
        self.rounds.append(done)
        return done

    def _run(self, name: str, place: Place, tormentor: Tormentor) -> Round:
        sweep = write_sweep(self.folder, self.size, name, place.store, place.options)
        # A short folder: the names of sockets below it may not be long.
        environment = {"RAY_TMPDIR": str(self.folder), **place.environment}
        command = [sys.executable, "-m", "tests.chaos.troop", "run", str(sweep), "--no-report"]
        log, started, exits = self.folder / f"{name}.log", time.monotonic(), Counter[int]()
        with nothing_left_behind(LEAVE_S):
            while not exits[DONE]:
                code = tormentor.torment(Session(command, environment, log))
                exits[code] += 1
                if code not in (KILLED, DONE, SET_ASIDE, GAVE_UP) or exits[GAVE_UP] > PATIENCE:
                    raise Failed(f"{name}: a driver ended with {code}:\n{log.read_text()[-3000:]}")
            tormentor.thaw(float("inf"))
        seconds = time.monotonic() - started
        findings = examine(place.local_copy(name, self.folder / "copies"), self.size)
        return Round(place.store.partition(":")[0] if place.network else "directory", seconds, exits, findings)
