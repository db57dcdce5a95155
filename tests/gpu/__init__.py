"""Tests with the GPU wheels behind a stand-in for the driver: `make check-gpu`."""
