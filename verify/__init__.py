"""Verdicts: the sandbox and one module per verifier. Knows nothing of Ray or vLLM."""
