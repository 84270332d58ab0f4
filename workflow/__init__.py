"""The rules of the workflow, each one `arkd` command, and the profile that `snakemake` reads."""
