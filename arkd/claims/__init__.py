"""Registered claims and a finished suite in, comparisons and verdicts out."""
