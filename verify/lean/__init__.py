"""The verifier ``lean``: Lean 4 proofs, checked by Lean itself."""
