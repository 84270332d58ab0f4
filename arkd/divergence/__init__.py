"""Hidden states and heads in, divergences and their gradients out, chunk by chunk: the kernel."""
