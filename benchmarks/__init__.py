"""What defines the benchmark: suites, tasks, claims, schemas and published numbers."""
