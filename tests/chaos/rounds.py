"""Rounds of chaos: each disturbs one run until it is complete, then examines it."""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.compare import Findings, examine
from tests.chaos.injector import Injector
from tests.chaos.places import Place
from tests.chaos.session import Session, nothing_left_behind
from tests.chaos.sweep import Size, write_sweep

KILLED, DONE, GAVE_UP, SET_ASIDE = -9, 0, 2, 3  # exit codes that a driver may have
PATIENCE = 20  # drivers of one run that may give up because a store or Ray does not answer
LEAVE_S = 30.0  # seconds in which Ray's processes notice that their driver is gone


class Failed(Exception):
    """Something happened that no kill, freeze or network fault explains; the message has the end of the log."""


@dataclass(frozen=True)
class Round:
    """Result of one run; ``exits`` counts the exit codes of its drivers."""

    store: str
    seconds: float
    exits: Counter[int]
    findings: Findings


@dataclass
class Arena:
    """The folder, the sweep's size and the number of drivers that all rounds share, and the rounds so far."""

    folder: Path
    size: Size
    drivers: int = 1
    rounds: list[Round] = field(default_factory=list)

    def run_undisturbed(self) -> Findings:
        """Runs the same sweep without any disturbance and without Ray, as the reference."""
        place = Place(str(self.folder / "runs"))
        done = self._run("reference", place, Injector(iter(())), 1, "--local")
        if set(done.exits) - {DONE, GAVE_UP} or any(done.findings.faults.values()):
            raise Failed(f"the undisturbed run is not whole: {done.exits}, {done.findings.faults}")
        return done.findings

    def run_disturbed(self, kind: str, place: Place, injector: Injector) -> Round:
        """Runs one more round, until its run is complete."""
        done = self._run(f"{kind}-{len(self.rounds)}", place, injector, self.drivers)
        self.rounds.append(done)
        return done

    def _run(self, name: str, place: Place, injector: Injector, drivers: int, *more: str) -> Round:
        sweep = write_sweep(self.folder, self.size, name, place.store, place.options)
        # A short folder, since names of sockets below it have a limit.
        environment = {"RAY_TMPDIR": str(self.folder), **place.environment}
        command = [sys.executable, "-m", "tests.chaos.troop", "run", str(sweep), "--no-report", *more]
        log, started, exits = self.folder / f"{name}.log", time.monotonic(), Counter[int]()
        with nothing_left_behind(LEAVE_S):
            working = [Session(command, environment, log) for _ in range(drivers)]
            while working:
                ended = injector.disturb(working)
                working.remove(ended)
                exits[code := ended.exit_code] += 1
                if code not in (KILLED, DONE, SET_ASIDE, GAVE_UP) or exits[GAVE_UP] > PATIENCE:
                    raise Failed(f"{name}: a driver ended with {code}:\n{log.read_text()[-3000:]}")
                if code != DONE:
                    working.append(Session(command, environment, log))
            injector.thaw(float("inf"))
        seconds = time.monotonic() - started
        findings = examine(place.local_copy(name, self.folder / "copies"), self.size)
        return Round(place.store.partition(":")[0] if place.network else "directory", seconds, exits, findings)
