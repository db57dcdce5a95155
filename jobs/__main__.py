"""``python -m jobs``: the command line where nothing is installed, as in ``ray job submit --working-dir .``."""

from jobs.cli.main import main

main()
