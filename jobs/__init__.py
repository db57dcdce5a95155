"""What is run: sweep spec, plan, store, results, report and the command line."""
