"""``troop`` with small units: many commits a second, so that each death has a chance to meet one."""

import jobs.planning
from jobs.cli.main import main
from tests.support.ray_ports import take_any_port

UNIT_ROWS = 64

if __name__ == "__main__":
    jobs.planning.UNIT_ROWS = UNIT_ROWS
    take_any_port()  # the Ray of a killed driver lives on for a while
    main()
