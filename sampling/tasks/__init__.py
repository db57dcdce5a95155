"""Tasks: problems with prompts, verifiers and gold solutions, from published files or your own."""
