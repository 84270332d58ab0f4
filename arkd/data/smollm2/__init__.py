"""Definitions, passages and dialogues of pinned wheels, for a real model."""
