"""Tests that run inside real container images: `make test-images`."""
