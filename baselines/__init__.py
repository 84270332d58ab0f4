"""The baselines: one file is one method, found by its file name."""
