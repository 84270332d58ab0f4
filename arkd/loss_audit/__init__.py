"""A loss of any code in, what it computes out: measured against float64, beside its claims."""
