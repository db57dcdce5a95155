"""The sandbox: runs hostile programs within limits and reports how they ended. Knows no verifier."""
