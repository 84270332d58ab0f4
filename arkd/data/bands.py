"""Bands of popularity, from the most popular down."""

BANDS = ("head", "torso", "tail")
