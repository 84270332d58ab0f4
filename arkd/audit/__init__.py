"""Is a result what it says, is it the same as another, may two be joined."""
