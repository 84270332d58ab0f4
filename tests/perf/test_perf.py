"""The benchmark of the code: its contenders compute one thing, its meters see what is there."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from conftest import ROOT
from rich.console import Console
from torch import Tensor

from arkd import kernels
from arkd.data.tokens import TokenSet
from arkd.divergence.head import Head
from arkd.divergence.losses import Teacher, weighted_divergences
from arkd.models import model as models
from arkd.perf import fused, losses, memory, pair, report, run, sampling, steps, suite
from arkd.perf.contenders import CONTENDERS, Contender, bare, largest_error
from arkd.perf.inputs import Inputs, Shape, gradients
from arkd.perf.memory import INSTALL
from arkd.perf.pair import Ready
from arkd.perf.ratios import LARGE, SMALL, Ratio, ratios
from arkd.perf.run import Plan
from arkd.perf.tables import number, tables
from arkd.perf.timing import exponent, interleave
from arkd.storage.manifest import NAME
from arkd.suite.protocol import Distillation
from arkd.teacher.cache import Evidence

SMALLER, LARGER = Shape(7, 5, 6, 23), Shape(7, 6, 5, 23)  # a student below its teacher, and above


PACKAGES = {"trl": "trl", "trl_tiled": "trl", "liger": "liger_kernel"}
ABSENT = [name for name, package in PACKAGES.items() if find_spec(package) is None]
HERE = [contender.name for contender in CONTENDERS if contender.name not in ABSENT]


def by_name(name: str) -> Contender:
    return next(contender for contender in CONTENDERS if contender.name == name)


def exact(contender: Contender, inputs: Inputs) -> tuple[Tensor, ...]:
    """Loss and both gradients in float64, of the formulas that the methods are tested against."""
    hidden, weight = (
        x.detach().double().requires_grad_() for x in (inputs.hidden_NH, inputs.weight_VH)
    )
    student, teacher = hidden @ weight.T, inputs.hidden_NG.double() @ inputs.weight_VG.double().T
    if contender.name in ("trl", "liger"):
        loss = oracles.jsd(student, teacher, 0.5).mean()
    elif contender.name == "trl_tiled":
        loss = oracles.rkl(student, teacher).mean()
    else:
        ratio = head_ratio(student, teacher) if contender.name == "authors_whole" else 1.0
        loss = (
            0.5 * ((oracles.fkl(student, teacher) + oracles.rkl(student, teacher)) * ratio).mean()
        )
    return loss.detach(), *torch.autograd.grad(loss, (hidden, weight))


def head_ratio(student: Tensor, teacher: Tensor) -> Tensor:
    """The share of Σ|p − q| that lies on the teacher's head, token by token and without a sort."""
    ratios = []
    for p, q in zip(oracles.probabilities(teacher), oracles.probabilities(student), strict=True):
        gap = (p - q).abs()
        in_head = torch.stack([p[p >= own].sum() <= 0.5 for own in p]) | (p == p.max())
        ratios.append((gap[in_head].sum() / gap.sum()).detach())
    return torch.stack(ratios)


def same_reverse_kl(inputs: Inputs) -> None:
    """Hold the gradients of TRL's tiles against those of our loss."""

    teacher = Teacher(inputs.hidden_NG, Head(inputs.weight_VG))
    given = inputs.hidden_NH, Head(inputs.weight_VH), teacher

    def ours(inputs: Inputs) -> Tensor:
        return weighted_divergences(*given, 0.0, 1.0, temperature=1.0)[0]

    found, expected = (gradients(loss, inputs) for loss in (by_name("trl_tiled").loss, ours))
    for x, y in zip(found, expected, strict=True):
        assert torch.allclose(x, y, rtol=1e-4, atol=1e-6)


def test_the_losses_of_all_packages_are_compared() -> None:
    if ABSENT:
        pytest.skip(f"not installed, hence not compared: {', '.join(ABSENT)}; {INSTALL}")
    assert {*PACKAGES} <= {*HERE}


@pytest.mark.parametrize("name", HERE)
def test_every_contender_has_the_loss_and_gradients_of_its_formula(name: str) -> None:
    contender = by_name(name)
    for shape in (SMALLER, LARGER):
        inputs = Inputs.of(shape)
        expected = exact(contender, inputs)
        for found, value in zip(gradients(contender.loss, inputs), expected, strict=True):
            assert torch.allclose(found.double(), value, rtol=1e-4, atol=1e-6)
        assert largest_error(contender, inputs) < 1e-5
        if name == "trl_tiled":
            same_reverse_kl(inputs)


def test_the_oracles_of_the_benchmark_are_those_of_the_tests() -> None:
    inputs = Inputs.of(SMALLER).double()
    student, teacher = inputs.student_NV.detach(), inputs.teacher_NV
    found = [by_name(name).oracle(inputs).item() for name in ("early", "trl", "trl_tiled")]
    fkl, rkl = (divergence(student, teacher) for divergence in (oracles.fkl, oracles.rkl))
    expected = [(fkl + rkl) / 2, oracles.jsd(student, teacher, 0.5), rkl]
    assert found == pytest.approx([x.mean().item() for x in expected], rel=1e-12)


def test_an_error_is_relative_to_the_largest_exact_value() -> None:
    wrong = Contender("wrong", "", lambda inputs: 1.25 * by_name("dense").loss(inputs))
    assert largest_error(wrong, Inputs.of(SMALLER)) == pytest.approx(0.25, rel=1e-4)


def test_the_bare_products_are_those_of_a_gradient_that_equals_the_logits() -> None:
    inputs = Inputs.of(SMALLER)
    logits = inputs.student_NV.detach()
    grad_NH, grad_VH = bare(inputs)
    assert torch.allclose(grad_NH, logits @ inputs.weight_VH, rtol=1e-5, atol=1e-4)
    assert torch.allclose(grad_VH, logits.T @ inputs.hidden_NH, rtol=1e-5, atol=1e-4)
    assert pytest.approx(2e-9 * 7 * 23 * (5 + 6 + 5 + 5)) == SMALLER.gflop


def test_rounds_run_every_contender_once_and_turn_around() -> None:
    order: list[str] = []
    runs = {name: lambda name=name: order.append(name) for name in "abc"}
    ticks: list[str] = []
    times = interleave(runs, 2, ticks.append)
    assert "".join(order) == "abc" + "cba" + "abc"  # the first round does not count
    assert ticks == order
    assert {name: len(spent) for name, spent in times.items()} == {"a": 2, "b": 2, "c": 2}


def test_a_growth_of_three_halves_is_found() -> None:
    assert exponent([1, 4, 16], [2.0, 16.0, 128.0]) == pytest.approx(1.5)


needs_proc = pytest.mark.skipif(
    memory.peak_mib(lambda: None) is None, reason="no /proc/self/clear_refs on this system"
)


@needs_proc
def test_the_meter_sees_memory_that_is_gone_when_the_run_ends() -> None:
    def planted() -> float:
        return float(torch.ones(64 * 2**20 // 4).sum())

    assert memory.peak_mib(planted) == pytest.approx(64, abs=4)
    assert memory.peak_mib(lambda: None) == pytest.approx(0, abs=2)


@needs_proc
def test_a_contender_is_measured_in_a_process_of_its_own() -> None:
    shape = Shape(64, 16, 16, 32768)  # logits of 8 MiB, of which dense autograd holds several
    peak, reason = memory.contender_peak_mib("dense", shape, 1)
    assert reason == ""
    assert peak is not None
    assert 4 * 8 < peak < 12 * 8


def test_what_is_kept_is_known_to_the_byte() -> None:
    inputs = Inputs.of(SMALLER)

    def loss(given: Inputs) -> Tensor:
        return (given.hidden_NH @ given.weight_VH.T).exp().sum()

    assert memory.retained_mib(loss, inputs) == 4 * 7 * 23 / 2**20  # exp keeps its result


@pytest.mark.parametrize("name", ["early", "late_batch", "late_token"])
def test_ours_keep_nothing_that_grows_with_the_vocabulary(name: str) -> None:
    small, large = (
        memory.retained_mib(by_name(name).loss, Inputs.of(Shape(8, 4, 5, v))) for v in (64, 256)
    )
    assert large == small < 8 * 64 * 4 / 2**20


def shape_part(shape: Shape, seconds: dict[str, float]) -> dict[str, Any]:
    """The numbers of a shape as they would be measured; TRL is not installed."""
    rows = {
        name: {"label": name, "reason": "", "times_s": [s, s * 2, s / 2], "peak_mib": 100 * s}
        for name, s in seconds.items()
    }
    rows["trl"] = {"label": "trl", "reason": "No module named 'trl'", "peak_mib": None}
    sizes = {"gflop": 10.0, "gflop_per_s": 5.0, "gradients_mib": 50.0}
    return {"kind": "shape", "shape": vars(shape), **sizes, "rows": rows}


SECONDS = {"bare": 1.0, "early": 1.5, "dense": 2.0, "late_batch": 2.5, "late_token": 3.0}
SECONDS |= {"authors": 4.5, "authors_whole": 9.0}


def test_a_limit_is_met_not_met_or_not_judged() -> None:
    found = ratios({"one": shape_part(losses.SHAPES[0], SECONDS)})
    verdicts = {r.what.removeprefix("time: "): (r.value, r.met) for r in found}
    assert verdicts["early / dense"] == (0.75, True)
    assert verdicts["early / bare"] == (1.5, False)  # above 1.35
    assert verdicts["authors / early"] == (3.0, True)
    assert verdicts["late_batch / dense"] == (1.25, True)
    assert verdicts["late_token / dense"] == (1.5, False)
    assert not {"trl_tiled / early", "liger / early"} & {*verdicts}  # of runs without them
    value, met = verdicts["trl / early"]
    assert value != value
    assert met is None
    assert {r.setting for r in found} == {SMALL}
    assert Ratio("", "", 1 / 8, 1 / 8).met is True
    assert Ratio("", "", 2.0, 2.5, at_least=True).met is False


def test_limits_belong_to_their_shapes() -> None:
    large = ratios({"one": shape_part(losses.SHAPES[1], SECONDS)})
    limits = {r.what: r.limit for r in large}
    assert {r.setting for r in large} == {LARGE}
    assert limits["time: early / dense"] == 0.85
    assert limits["time: early / bare"] is None
    (of_memory,) = (r for r in large if r.what.startswith("memory"))
    assert of_memory.value == pytest.approx((150 - 50) / (200 - 50))
    assert of_memory.met is False
    other = ratios({"one": shape_part(Shape(1, 2, 3, 4), SECONDS)})
    assert all(r.limit is None for r in other)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(1.5, "1.50"), (123.4, "123"), (12345.6, "12,346"), (2e-7, "2.0e-07"), (0.0, "0")],
        *[(float("nan"), "—"), (None, "—"), ("n/a", "n/a"), (float("inf"), "∞")],
    ],
)
def test_numbers_have_three_digits_that_count(value: float | str | None, text: str) -> None:
    assert number(value) == text


def test_the_files_show_medians_verdicts_and_what_is_left_out(tmp_path: Path) -> None:
    parts = {"one": shape_part(losses.SHAPES[0], SECONDS)}
    measured = {"command": "arkd perf", "machine": {"cores": 2}, "parts": parts}
    report.write(measured, tmp_path)
    text = (tmp_path / "performance.md").read_text()
    assert f"| {SMALL} time: early / dense | 0.750 | ≤ 0.750 | met |" in text
    assert f"| {SMALL} time: early / bare | 1.50 | ≤ 1.35 | NOT MET by 11.1% |" in text
    # median, least, most, share of the product rate, peak, peak without gradients, error
    assert "| early | 1.50 | 0.750 | 3.00 | 66.7 | 150 | 100 | — |" in text
    assert "| trl | No module named 'trl' |" in text
    lines = (tmp_path / "performance.csv").read_text().splitlines()
    title = "Divergence, forward and backward: (tokens, H, G, V) = (1024, 512, 768, 50257)"
    assert f'"{title}",early,median (s),1.5' in lines


def test_the_fused_work_stands_beside_the_operators_that_it_replaces(tmp_path: Path) -> None:
    """On a CPU both ways are the operators: the same errors, and no memory of a GPU."""
    ticks: list[str] = []
    part = fused.measure_fused(LARGER, 2, "cpu", ticks.append)
    assert len(ticks) == fused.fused_ticks(2)
    assert [*part["rows"]] == ["early", "late_batch", "late_token", "elementwise"]
    for name, row in part["rows"].items():
        assert len(row["operators"]["times_s"]) == len(row["fused"]["times_s"]) == 2
        assert row["operators"].get("error") == row["fused"].get("error"), name
    part["rows"]["early"]["operators"]["times_s"] = [6.0, 6.0]
    part["rows"]["early"]["fused"] = {"times_s": [3.0, 3.0], "peak_mib": 5.0, "error": 2e-7}
    machine = {"cores": 2}
    measured = {
        "command": "arkd perf",
        "machine": machine,
        "parts": {"a": part | {"kind": "fused"}},
    }
    report.write(measured, tmp_path)
    text = (tmp_path / "performance.md").read_text()
    # both times and their ratio, both peaks, both errors
    assert "| ours, early weights | 6.00 | 3.00 | 2.00 | — | 5.00 |" in text
    assert "over 7 tokens" in text


@pytest.mark.gpu
def test_a_gpu_measures_the_fused_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_chosen", ["fast"])
    part = fused.measure_fused(Shape(300, 64, 96, 4096), 1, "cuda", lambda text: None)
    compared = {name: row for name, row in part["rows"].items() if "error" in row["fused"]}
    assert set(compared) == {"early", "late_batch", "late_token"}
    for row in compared.values():
        assert row["fused"]["error"] < 1e-5
        assert row["fused"]["peak_mib"] < row["operators"]["peak_mib"]


@pytest.mark.heavy
def test_the_engines_are_timed_on_one_load_and_draw_the_same(tmp_path: Path) -> None:
    ticks: list[str] = []
    part = sampling.measure_sampling(True, 2, "cpu", ticks.append)
    assert len(ticks) == sampling.sampling_ticks(True, 2)
    (row,) = part["rows"].values()
    assert {len(times) for times in row["times_s"].values()} == {2}
    assert row["same"] == dict.fromkeys(sampling.ENGINES, 1.0)
    # The first token of several ends an answer, each with the share that a random model gives all.
    share = sampling.ENDS / sampling.VOCABULARY
    most = sampling.QUICK_LOADS[0].new_tokens
    expected = (1 - (1 - share) ** most) / share  # of a geometric length, cut
    assert row["tokens"] == pytest.approx(expected, rel=0.35)  # 32 answers
    row["times_s"] = {"batches": [8.0], "padded": [6.0], "continuous": [3.0]}
    row["tokens"] = 20.0
    measured = {"command": "arkd perf", "machine": {"cores": 2}}
    report.write(measured | {"parts": {"a": part | {"kind": "sampling"}}}, tmp_path)
    line = "| 32 answers, 8 at once | 20.0 | 8.00 | 6.00 | 3.00 | 2.00 | 100 |"
    assert line in (tmp_path / "performance.md").read_text()


def test_what_has_no_gpu_is_said_to_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert fused.reason() == "it needs a GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("arkd.divergence.fused.installed", lambda: False)
    assert "Triton" in fused.reason()


COST = """stage,method,seed,wall_s,startup_s,proper_s,padding_share,host
data,shared,0,2,1,,,box
distill,jsd,1,10,1,8,0.25,box
distill,jsd,2,14,1,12,0.75,box
evaluate,jsd,0,6,1,5,,box
evaluate,init,0,6,1,5,,box
"""


def test_the_cost_of_a_suite_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "longtail" / "cost.csv"
    path.parent.mkdir()
    path.write_text(COST)
    assert suite.cost_file(tmp_path, "longtail") == path
    found = suite.measure_suite(path)
    assert found["stages"]["distill"] == {"runs": 2, "wall_s": 24.0}
    assert found["overhead_share"] == pytest.approx(1 - 30 / 43)
    assert found["padding_share"] == 0.5
    assert found["methods_s"] == {"jsd": pytest.approx((11 + 15 + 7) * 3 / 2)}


def test_what_a_cost_table_does_not_have_is_said(tmp_path: Path) -> None:
    path = tmp_path / "cost.csv"
    lines = [line.split(",") for line in COST.splitlines()]
    path.write_text("\n".join(",".join([*line[:4], line[-1]]) for line in lines) + "\n")
    part = {"kind": "suite", "suite": "longtail", "file": "", **suite.measure_suite(path)}
    (table,) = tables({"parts": {"suite": part}})
    assert ("overhead: the rest (%)", "not recorded") in table.rows
    assert part["method_s"]["median"] == pytest.approx((10 + 14 + 6) * 3 / 2)


def test_a_suite_of_no_trainings_has_a_table_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "cost.csv"
    path.write_text("\n".join(line for line in COST.splitlines() if "jsd" not in line) + "\n")
    part = {"kind": "suite", "suite": "longtail", "file": "", **suite.measure_suite(path)}
    (table,) = tables({"parts": {"suite": part}})
    assert ("one more method × 3 seeds, median (core-s)", "not recorded") in table.rows
    report.write({"command": "", "machine": {}, "parts": {"suite": part}}, tmp_path)


def test_the_latest_reference_is_that_of_the_highest_version(tmp_path: Path) -> None:
    for version in ("2.0", "10.0", "9.1"):
        path = tmp_path / "reference" / version / "longtail" / "cost.csv"
        path.parent.mkdir(parents=True)
        path.write_text(COST)
    found = suite.cost_file(tmp_path, "longtail")
    assert found == tmp_path / "reference" / "10.0" / "longtail" / "cost.csv"


@pytest.fixture
def ready(tiny_pair: Callable[[], tuple[Any, Any]]) -> Ready:
    """A pair in memory, its cache made by the teacher sample by sample."""
    student, teacher = tiny_pair()
    tokens = TokenSet.of([([3, 4], [5, 6, 7, 1]), ([8], [9, 1]), ([2, 5, 4], [3, 1])])
    cached = []
    for row in range(len(tokens)):
        ids = torch.tensor([tokens.prompt(row) + tokens.response(row)])
        with torch.no_grad():
            states = models.hidden_states(teacher, ids)
        cached.append(states[len(tokens.prompt(row)) - 1 : -1])
    hidden_NG = torch.cat(cached)
    settings = Distillation(steps=2, batch_size=2, lr=1e-3, lm_weight=0.0)
    evidence = Evidence(tokens, hidden_NG)
    return Ready(student, teacher, evidence, settings, 1, [[0, 1], [2]], hidden_NG.nbytes)


@pytest.fixture
def tiny_pair() -> Callable[[], tuple[Any, Any]]:
    from transformers import LlamaConfig, LlamaForCausalLM

    def made() -> tuple[Any, Any]:
        torch.manual_seed(0)
        sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 11}
        student, teacher = (
            LlamaForCausalLM(
                LlamaConfig(
                    hidden_size=size,
                    intermediate_size=12,
                    num_key_value_heads=2,
                    pad_token_id=0,
                    initializer_range=0.5,
                    **sizes,
                )
            )
            for size in (8, 12)
        )
        return student.train(), teacher.eval()

    return made


def grads(ready: Ready, timed: Callable[[], Any]) -> dict[str, Tensor]:
    """The gradients of the last batch that a timed run leaves behind."""
    ready.student.zero_grad(set_to_none=True)
    timed()
    found = {n: p.grad.clone() for n, p in ready.student.named_parameters() if p.grad is not None}
    assert found
    return found


@pytest.mark.parametrize("name", ["live", "late"])
def test_paths_that_are_compared_have_one_gradient(ready: Ready, name: str) -> None:
    timed = steps.contenders(ready)
    expected = grads(ready, timed["cached"])
    for parameter, grad in grads(ready, timed[name]).items():
        assert torch.allclose(grad, expected[parameter], rtol=1e-4, atol=1e-6)


def test_the_floor_is_the_students_own_step(ready: Ready) -> None:
    timed = steps.contenders(ready)
    expected = grads(ready, timed["student"])
    assert all(torch.equal(g, expected[n]) for n, g in grads(ready, timed["floor"]).items())


def test_the_cache_differs_from_the_live_teacher_by_what_is_planted(ready: Ready) -> None:
    assert steps.largest_gap(ready) < 1e-5
    hidden_NG, head = ready.evidence.hidden.clone(), models.head(ready.teacher)
    ready.evidence.hidden[3] += 0.1
    logs = [
        oracles.probabilities(states @ head.weight_VH.detach().T).log()
        for states in (hidden_NG, ready.evidence.hidden)
    ]
    assert steps.largest_gap(ready) == pytest.approx(float((logs[0] - logs[1]).abs().max()), 1e-3)


def test_steps_are_measured_without_changing_the_student(ready: Ready) -> None:
    before = {name: p.clone() for name, p in ready.student.named_parameters()}
    ticks: list[str] = []
    found = steps.measure_steps(ready, 2, 1, ticks.append)
    assert all(torch.equal(p, before[name]) for name, p in ready.student.named_parameters())
    assert set(found["rows"]) == set(steps.LABELS)
    assert len(ticks) == steps.step_ticks(2)
    assert found["batch_tokens"] == 4.0  # responses of 4 + 2 tokens, and of 2
    assert found["cache"]["bytes_per_token"] == 4 * 12
    assert found["cache"]["logits_bytes_per_token"] == 4 * 11
    part = {"kind": "step", "suite": "mine", "quick": True, "stages_s": {}, **found}
    assert [r.limit for r in ratios({"step": part})] == [None, None, None, None, 1e-4]
    part["quick"] = False
    assert [r.limit for r in ratios({"step": part})] == [1.15, None, 1.05, 1.3, 1e-4]


def test_stages_of_a_finished_run_are_used(smoke: Path, tmp_path: Path) -> None:
    there, spent = pair.made_stages(smoke, tmp_path / "own", "smoke", lambda text: None)
    assert (there.results, spent) == (smoke, {})
    assert not (tmp_path / "own").exists()


@pytest.mark.heavy
def test_stages_of_other_code_are_run_anew_and_elsewhere(smoke: Path, tmp_path: Path) -> None:
    shutil.copytree(smoke / "smoke", tmp_path / "results" / "smoke")
    stale = pair.tree("smoke", tmp_path / "results").cache("fixture", "gold") / NAME
    made = json.loads(stale.read_text())
    stale.write_text(json.dumps(made | {"core": "of other code"}))
    own = tmp_path / "own"
    there, spent = pair.made_stages(tmp_path / "results", own, "smoke", lambda text: None)
    assert there.results == own
    assert list(spent) == ["data", "tokens", "teacher", "init", "cache"]
    for name in ("data", "fixture/cache/gold"):  # the same stages, made of the same
        again, before = (
            json.loads((root / "smoke" / name / NAME).read_text()) for root in (own, smoke)
        )
        assert again["outputs"] == before["outputs"]
    assert json.loads(stale.read_text())["core"] == "of other code"


@pytest.mark.heavy  # two processes that time
def test_an_interrupted_run_goes_on_with_the_parts_that_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All parts are measured for real; the interrupt comes as the second one begins."""
    ran: list[str] = []
    stopped = [True]
    growth, whole = losses.measure_growth, suite.measure_suite

    def watched_growth(*arguments: Any) -> dict[str, Any]:
        ran.append("growth")
        return growth(*arguments)

    def watched_suite(*arguments: Any) -> dict[str, Any]:
        if stopped and stopped.pop():
            raise KeyboardInterrupt
        ran.append("suite")
        return whole(*arguments)

    monkeypatch.setattr(losses, "measure_growth", watched_growth)
    monkeypatch.setattr(suite, "measure_suite", watched_suite)
    results = tmp_path / "results"  # with the reference alone, as in a fresh checkout
    kept = Path("reference", "1.0", "longtail", "cost.csv")
    (results / kept).parent.mkdir(parents=True)
    shutil.copyfile(ROOT / "results" / kept, results / kept)
    given = {"out": tmp_path, "results": results, "only": "suite", "quick": True}
    plan, console = Plan(**given, again=False, repeats=1, threads=1), Console(quiet=True)
    with pytest.raises(KeyboardInterrupt):
        run.measure(plan, console)
    saved = json.loads((tmp_path / "performance.json").read_text())
    assert list(saved["parts"]) == ["growth"]
    measured = run.measure(plan, console)
    assert ran == ["growth", "suite"]
    assert json.loads(json.dumps(measured["parts"]["growth"])) == saved["parts"]["growth"]
    assert measured["parts"]["suite"]["file"] == "results/reference/1.0/longtail/cost.csv"
    run.measure(replace(plan, repeats=2), console)  # other settings: nothing is taken over
    assert ran == ["growth", "suite"] * 2


@pytest.mark.heavy  # sizes that are timed
def test_the_command_measures_the_part_it_is_asked_for(tmp_path: Path) -> None:
    """A process of its own, which has fast kernels where this one has portable ones."""
    words = ["--only", "suite", "--quick", "--repeats", "1", "--threads", "1"]
    words += ["--out", str(tmp_path), "--results", str(ROOT / "results")]
    done = subprocess.run(
        [sys.executable, "-m", "arkd", "perf", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for suffix in ("md", "csv", "json"):
        assert str(tmp_path / f"performance.{suffix}") in done.stdout.replace("\n", "")
        assert (tmp_path / f"performance.{suffix}").stat().st_size > 0
    saved = json.loads((tmp_path / "performance.json").read_text(encoding="utf-8"))
    assert saved["settings"] == {"quick": True, "repeats": 1}
    assert saved["machine"]["threads"] == 1
    assert saved["machine"]["MKL_CBWR"] == "AUTO"
    assert set(saved["parts"]) == {"growth", "suite"}
    assert saved["parts"]["growth"]["tokens"]["exponent"] > 0
    with (ROOT / saved["parts"]["suite"]["file"]).open(encoding="utf-8", newline="") as lines:
        spent = [float(r["wall_s"]) for r in csv.DictReader(lines) if r["stage"] == "distill"]
    found = saved["parts"]["suite"]["stages"]["distill"]
    assert found == {"runs": len(spent), "wall_s": pytest.approx(sum(spent))}


def test_the_help_needs_no_torch() -> None:
    code = "import sys; from arkd.cli.main import parser; parser(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
