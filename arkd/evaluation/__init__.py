"""A model in, its records out: lm-eval tasks, fidelity to the teacher, the world's truth."""
