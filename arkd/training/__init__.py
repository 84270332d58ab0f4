"""A start, batches and a method in, a trained student out: the one loop."""
