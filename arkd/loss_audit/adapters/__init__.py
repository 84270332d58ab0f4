"""Released losses in, each as its own code calls it: one file a package, named as on PyPI."""
