"""Verdicts: the sandbox and one module per verifier. Imports neither Ray nor vLLM."""
