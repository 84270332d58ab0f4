"""What the jobs of a suite ask of a batch system."""

from __future__ import annotations

from typing import Any

import pytest

from arkd.plan.requests import LIBRARIES_MIB, START_MIN, Requests
from arkd.suite import folders


class Wildcards(dict[str, str]):
    """A job's wildcards, as Snakemake has them."""

    __getattr__ = dict.__getitem__


def asked(suite: str, stage: str, attempt: int = 1, gpu: str = "", **axes: Any) -> tuple[int, int]:
    """MiB and minutes of a job."""
    tree = folders.tree(suite, "/nowhere")
    found = Requests({suite: tree}, gpu).of(stage, lambda: True)
    job = Wildcards(suite=suite, pair=tree.suite.pairs[0].name, **axes)
    return found["mem_mb"](job, attempt), found["runtime"](job, attempt)


def test_small_jobs_ask_for_what_the_libraries_take() -> None:
    mib, minutes = asked("smoke", "distill", method="arkd")
    assert LIBRARIES_MIB < mib < 1.1 * LIBRARIES_MIB
    assert START_MIN <= minutes <= START_MIN + 5


def test_a_job_that_is_tried_again_asks_for_as_much_again() -> None:
    once, thrice = (asked("gpt2-dolly", "teacher", attempt) for attempt in (1, 3))
    assert thrice == tuple(3 * amount for amount in once)


def test_a_faster_gpu_is_asked_for_less_time() -> None:
    slow, fast = (asked("llama-dolly", "teacher", gpu=gpu) for gpu in ("A100", "H100"))
    assert slow[0] == fast[0]
    assert slow[1] > fast[1]


def test_a_run_on_this_machine_asks_nobody() -> None:
    tree = folders.tree("smoke", "/nowhere")
    resources = Requests({"smoke": tree}).of("distill", lambda: False)
    job = Wildcards(suite="smoke", pair="fixture", method="arkd")
    assert [amount(job, 1) for amount in resources.values()] == [0, 0]


def test_a_suite_without_a_plan_says_so_once_and_asks_for_little(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from arkd.errors import ArkdError

    def unknown(*_: object) -> None:
        raise ArkdError("pairs.fixture.teacher: not known")

    monkeypatch.setattr("arkd.plan.requests.jobs", unknown)
    assert asked("smoke", "teacher") == (LIBRARIES_MIB, START_MIN + 1)
    assert capsys.readouterr().err.count("\n") == 1
