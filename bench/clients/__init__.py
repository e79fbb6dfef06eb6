"""Programs that receive codes; the benchmark starts each one as a child process."""
