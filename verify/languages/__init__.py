"""Whole programs in other languages than Python: found in completions, compiled in a jail, run in the sandbox."""
