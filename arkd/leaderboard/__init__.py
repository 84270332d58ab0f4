"""References and submissions in, one page out: rows by their effect to forward KL, in groups."""
