"""What a run amounts to: thresholds, rules and hints. Pure."""
