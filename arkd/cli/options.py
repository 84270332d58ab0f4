"""What several commands take: their options, and the numbers that these are given."""

from __future__ import annotations

from typing import Any

from arkd.errors import ArkdError

DIGITS = 9  # at most, of a number of cores or of rounds


def at_least_one(option: str, typed: str, known: str = "") -> int:
    """Return the number that an option is given.

    Args:
        option: Its name.
        typed: What it is given.
        known: The word that may stand in the place of a number.

    Raises:
        ArkdError: it is none, or below 1.
    """
    if not (typed.isdecimal() and len(typed) <= DIGITS and int(typed)):
        wanted = f"{known} or at least 1" if known else "at least 1"
        raise ArkdError(f"--{option}: must be {wanted}, found {typed:.100}")
    return int(typed)


def cores(typed: str) -> str:
    """Return a number of cores as Snakemake takes it.

    Raises:
        ArkdError: it is neither `all` nor a number of at least 1.
    """
    return typed if typed == "all" else str(at_least_one("cores", typed, "all"))


AXES = {
    "pair": "teacher and student, by the pair's name in the suite",
    "method": "a row of the suite, such as fixed_mix@alpha=0.25, or a control",
    "seed": "training seed",
    "source": "response set; the student's needs a seed",
}
SUITE: dict[str, Any] = {"default": "longtail", "help": "name or YAML file (default: longtail)"}
RESULTS: dict[str, Any] = {"default": "results", "help": "folder of all results"}
CORES: dict[str, Any] = {
    "default": "all",
    "type": cores,
    "help": "number of parallel jobs (default: all cores)",
}
