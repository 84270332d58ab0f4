"""One finished smoke run that all workflow tests read, made once a session."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from arkd import kernels

ROOT = Path(__file__).parent.parent
# Before torch is loaded: what tests compute is the same on every processor, in whichever order.
kernels.choose("portable")
import torch  # noqa: E402

from arkd.models import portable_ops  # noqa: E402

portable_ops.install()
if not torch.cuda.is_available():  # before Triton is loaded: its interpreter runs it on a CPU
    os.environ["TRITON_INTERPRET"] = "1"
# The width and colours of a user's terminal, and what is set for other runs, reach no test.
for name in (
    *("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"),
    *("MPLBACKEND", "SNAKEMAKE_PROFILE", "MAKEFLAGS", "GIT_DIR", "GIT_INDEX_FILE"),
    *("GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"),
    *("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"),
    "HF_ENDPOINT",
):
    os.environ.pop(name, None)
if "PYTEST_XDIST_WORKER" not in os.environ:  # parallel test processes inherit this one's
    CACHES = tempfile.TemporaryDirectory(prefix="arkd-tests-")  # a home need not be writable
    os.environ["XDG_CACHE_HOME"] = CACHES.name
# Files of half a minute and more start first, so that no process is left alone at the end.
LONG = (
    *("test_own_suite", "test_example", "test_figures", "test_verify", "test_report"),
    *("test_stock_lm_eval", "test_results_readme", "test_given_inputs", "test_merge"),
    *("test_parallel", "test_resume", "test_newcomer", "test_plan"),
)
# Of the tests that every method goes through, `make test` takes these: a plain divergence, ARKD,
# and one of each further kind, its loss, its schedule, its samples. `make test-all` takes all.
OF_EACH_KIND = (
    *("forward_kl", "arkd", "arkd_code", "akl", "contrastive", "taid", "seqkd", "distillm"),
    "opd",
)
PATIENCE_S = 600  # that a test waits for what hangs; a busy machine takes less


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the file to which the kills of tests/workflow/test_kills.py are written."""
    parser.addoption("--kills-log", type=Path, metavar="FILE", help="a table of every kill")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first; the others stay in their order. Skip what has no GPU."""
    order = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))
    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="no GPU: run `pytest -m gpu` on a machine with one")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(skip)


def by_kind(names: Iterable[str]) -> list[Any]:
    """Return methods as parameters, those that are not `OF_EACH_KIND` as heavy ones."""
    heavy = pytest.mark.heavy
    return [n if n in OF_EACH_KIND else pytest.param(n, marks=heavy) for n in names]


def heed_interrupts() -> None:
    """Let a child heed Ctrl-C, which it would ignore where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def snakemake(
    results: Path, *options: str, suite: str = "smoke", project: Path = ROOT
) -> subprocess.CompletedProcess:
    """Run the project's workflow as a user does, in an activated environment.

    Args:
        results: The folder of all results.
        *options: Of Snakemake.
        suite: What is run.
        project: The checkout, or a copy of it that stands before what is installed.
    """
    command = [sys.executable, "-P", "-m", "snakemake", "--cores", "2", *options]
    command += ["--config", f"suites=[{suite}]", f"results={results}"]
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if project != ROOT:
        env["PYTHONPATH"] = str(project)
    return subprocess.run(
        command, cwd=project, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results folder of a whole smoke run; treat it as read-only.

    Parallel test processes share one run: the first makes it, the others wait.
    """
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    results = shared / "smoke-results"
    with FileLock(shared / "smoke.lock"):
        if not (results / "smoke" / "report.html").is_file():
            done = snakemake(results, "--nolock")
            assert done.returncode == 0, done.stdout + done.stderr
    return results
