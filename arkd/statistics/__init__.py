"""Arrays in, numbers out: intervals, resampling, variance components, power."""
