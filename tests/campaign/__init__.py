"""The campaign: random runs, each compared with the target's record by an independent reading."""
