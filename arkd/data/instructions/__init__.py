"""Dolly and the field's instruction sets, by their authors' files and filters."""
