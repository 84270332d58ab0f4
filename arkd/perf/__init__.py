"""The benchmark of the code itself: what `arkd perf` measures, and how."""
