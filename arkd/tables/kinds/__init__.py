"""A table is a file here: the file's name, and `TABLE` with its section, caption and builder."""
