"""A suite's settings in, its text out: training, tests and probes of each source; then tokens."""
