"""The fault matrix: generated runs, each held to what the target wrote that it did."""
