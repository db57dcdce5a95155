"""Jobs: sweep, plan, run, store, numbers, report and the command line."""
