"""Estimators: coverage, intervals, fits, crossovers, costs, selection. Pure NumPy, no I/O."""
