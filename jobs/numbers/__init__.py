"""Estimators: coverage, intervals, fits, crossovers, costs, selection, predictions. Pure functions, no I/O."""
