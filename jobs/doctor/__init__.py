"""``troop doctor``: what a machine or the nodes of a cluster can do, and what is missing for the rest."""
