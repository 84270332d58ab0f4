"""The teacher's hidden states of every response: run once, kept exactly, read by all."""
