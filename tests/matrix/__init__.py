"""The fault matrix: generated runs, each compared with the target's record."""
