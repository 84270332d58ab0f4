"""A finished suite, read: records, trajectories, scores of items, the papers' numbers."""
