"""Real servers of others, started for a test or a measurement."""
