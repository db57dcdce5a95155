"""Tasks: published files, or your own, as problems with prompts, verifiers and gold solutions."""
