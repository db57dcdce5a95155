"""Measurements, one command each; ``make bench`` runs them and writes RESULTS.md. None of them is a test."""
