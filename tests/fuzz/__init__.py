"""Coverage-guided fuzzing of everything that takes a server's bytes; `make fuzz`."""
