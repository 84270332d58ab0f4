"""The tests on each version of Python: `pipx run nox`, or `nox --session tests-3.12`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13")
INDEX = "https://download.pytorch.org/whl/cpu"
HASHED = ("--no-deps", "--no-build-isolation", "--require-hashes")


def given_by_make() -> list[str]:
    """Return what `make test` gives pytest, which is written once, in the Makefile."""
    makefile = Path("Makefile").read_text(encoding="utf-8")
    (words,) = re.findall(r"^test: .*\n\t.* -m pytest (.*)$", makefile, re.M)
    return shlex.split(words)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests in an environment of the lock files, as `make test` does."""
    session.install(*HASHED, "--requirement", "requirements-build.lock")
    session.install(*HASHED, "--extra-index-url", INDEX, "--requirement", "requirements-cpu.lock")
    session.install(*HASHED, "--requirement", "requirements.lock")
    session.install("--no-deps", "--no-build-isolation", "--editable", ".")
    arguments = session.posargs or given_by_make()
    session.run("python", "-m", "pytest", *arguments, env={"OMP_NUM_THREADS": "1"})
