"""Measurements, each one command; ``make bench`` runs them and writes RESULTS.md. Nothing here is a test."""
