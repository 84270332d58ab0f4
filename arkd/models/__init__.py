"""A model, made or loaded, run and sampled from, on the device and kernels of its suite."""
