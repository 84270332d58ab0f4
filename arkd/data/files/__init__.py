"""A user's own JSONL files."""
