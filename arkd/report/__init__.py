"""Tables, verdicts and figures in, one page out."""
