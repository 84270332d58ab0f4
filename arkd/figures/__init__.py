"""A finished suite in, its figures out."""
