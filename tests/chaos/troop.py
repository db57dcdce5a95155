"""Runs ``troop`` with small units: it commits many times a second, so that kills often hit a commit."""

import jobs.planning
from jobs.cli.main import main
from tests.support.ray_ports import take_any_port

UNIT_ROWS = 64

if __name__ == "__main__":
    jobs.planning.UNIT_ROWS = UNIT_ROWS
    take_any_port()  # Ray of a killed driver runs on for a while
    main()
