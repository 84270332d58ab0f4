"""The command line: the parser, what each command does, and what it writes for newcomers."""
