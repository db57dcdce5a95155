"""The verifier ``patch``: a repository's own tests decide about a diff."""
