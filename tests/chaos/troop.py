"""``troop`` with small units: many commits a second, so that each death has a chance to meet one."""

import jobs.plan
from jobs.cli import main

UNIT_ROWS = 64

if __name__ == "__main__":
    jobs.plan.UNIT_ROWS = UNIT_ROWS
    main()
