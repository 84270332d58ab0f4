"""Texts or logits in, numbers out."""
