"""A model's shape and what is done with it in, bytes out; no torch and no model is loaded."""
