"""Runs ``troop`` with small units: it commits many times a second, so that kills often hit a commit."""

import jobs.planning
from jobs.cli.main import main
from tests.support.lean_ray import start_lean_rays

UNIT_ROWS = 64

if __name__ == "__main__":
    jobs.planning.UNIT_ROWS = UNIT_ROWS
    start_lean_rays()  # Ray of a killed driver runs on for a while
    main()
