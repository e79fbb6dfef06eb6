"""Third-party servers, started for a test or a measurement."""
