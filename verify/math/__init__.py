"""The verifier of answers in mathematics."""
