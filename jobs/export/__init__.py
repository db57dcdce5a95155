"""Exports of a run: its committed rows, in order and within bounded memory, as files for other tools."""
