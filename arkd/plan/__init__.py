"""What a suite will take, told before anything is run: `arkd plan`."""
