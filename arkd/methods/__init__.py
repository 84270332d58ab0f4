"""The arms of ARKD and the controls of its weight α."""
