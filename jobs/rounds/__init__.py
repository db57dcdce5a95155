"""Adaptive sampling: decides by committed verdicts which problems get another round, and adds it to the plan."""
