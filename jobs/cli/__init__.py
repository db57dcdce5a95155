"""The command line; see jobs/cli/main.py."""
