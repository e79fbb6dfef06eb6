"""Programs that receive codes, each started by the bench as a child of its own."""
