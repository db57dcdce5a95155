"""Chaos: real runs whose processes are killed and frozen and whose network lies, compared with one left in peace.

``make chaos KILLS=500 FAULTS=500 SEED=1`` goes on for as long as that takes; ``tests/end_to_end/test_chaos.py`` is a
short one.
"""
