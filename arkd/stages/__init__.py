"""One function a rule of the Snakefile: earlier folders in, one folder with its manifest out."""
