"""The verifier of patches, judged by a repository's own tests."""
