"""The tests on each version of Python: `pipx run nox`, or `nox --session tests-3.12`."""

from __future__ import annotations

import nox

PYTHONS = ("3.11", "3.12", "3.13")
INDEX = "https://download.pytorch.org/whl/cpu"
HASHED = ("--no-deps", "--require-hashes")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests in an environment of the lock files, as `make test` does."""
    session.install(*HASHED, "--extra-index-url", INDEX, "--requirement", "requirements-cpu.lock")
    session.install(*HASHED, "--requirement", "requirements.lock")
    session.install("--no-deps", "--no-build-isolation", "--editable", ".")
    arguments = session.posargs or ["-m", "not heavy", "-n", "2", "--dist", "loadfile"]
    session.run("python", "-m", "pytest", *arguments, env={"OMP_NUM_THREADS": "1"})
