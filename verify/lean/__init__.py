"""The verifier of Lean 4 proofs."""
