"""Comparisons of two runs, of two models or of two versions of verdicts, problem by problem."""
