"""Coverage-guided fuzzing of everything that decodes a server's bytes; see `make fuzz`."""
