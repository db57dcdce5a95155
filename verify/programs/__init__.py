"""Finds the program in a completion, and the names that the program may expect."""
