"""The schema of the keys under `zppo`, and how a configuration is composed. May import: the method."""
