"""A generated world: every question's answer distribution is known."""
