"""Chaos: real runs whose processes are killed and frozen and whose network fails, compared with an undisturbed run.

``make chaos KILLS=500 FAULTS=500 SEED=1 DRIVERS=2`` runs until all kills and faults have happened;
``tests/end_to_end/test_chaos.py`` is a short version.
"""
