"""Problems, prompts and engines: everything up to a completion. Knows nothing of Ray, verdicts or storage."""
