"""A suite's YAML in, what is to be run out: settings, methods, folders, jobs."""
