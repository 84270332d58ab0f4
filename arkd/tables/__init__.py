"""A finished suite in, its tables out, as CSV, Markdown and LaTeX."""
