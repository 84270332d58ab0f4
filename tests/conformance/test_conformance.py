"""Every method passes the conformance suite, and methods that are wrong in one way fail it so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from altered_methods import ALTERED
from conftest import ROOT, by_kind
from scipy import stats
from torch import Tensor
from wrong_methods import WRONG, Declared, NoTeacherDeclared, Reversed

from arkd.cli import main as cli
from arkd.conformance import at_scale, check, formulas, golden, runs, toy_models, values
from arkd.conformance.case import Case, Notes
from arkd.conformance.dense import dense_logits
from arkd.conformance.draws import unevenness
from arkd.conformance.method_under_test import Subject
from arkd.conformance.oracles import ORACLES, VARIANTS
from arkd.conformance.toy_models import Setting
from arkd.conformance.watched_step import new_step
from arkd.method import Context, Method, Tools, WeightedDivergences, Weights
from arkd.suite import method_listing as catalogue
from arkd.suite import registry

GOLDEN = ROOT / "tests" / "golden"
AIMLESS = ("fixed_advantage",)  # controls that learn from the student's own samples alone


def by_check(cases: list[tuple[Method, str, set[str]]]) -> list[Any]:
    """Return wrong methods as parameters; heavy are those that only fail what another one does."""
    found, failed = [], set()
    for case in cases:
        marks = () if case[2] - failed else (pytest.mark.heavy,)
        found.append(pytest.param(*case, marks=marks, id=type(case[0]).__name__))
        failed |= case[2]
    return found


def failing(subject: Subject) -> set[str]:
    return {o.check for o in check.outcomes(subject) if o.verdict == "FAIL"}


@pytest.mark.parametrize("name", by_kind(registry.plugins()))
def test_every_registered_method_passes(name: str) -> None:
    subject = check.subject(name)
    found = list(check.outcomes(subject))
    assert not [o for o in found if o.verdict == "FAIL"]
    silent = {o.check for o in found if o.verdict == "not applicable"}
    assert not {"value", "gradient", "temperature", "repeats", "resumes"} & silent
    assert ("progress" in silent) == (name in AIMLESS)


@pytest.mark.parametrize("name", catalogue.shipped())
def test_every_shipped_method_is_held_to_a_formula(name: str) -> None:
    assert check.subject(name).oracle is not None


def test_no_formula_is_of_a_method_that_is_not_there() -> None:
    assert set(VARIANTS) <= set(ORACLES) <= set(catalogue.shipped())


@pytest.mark.parametrize(("method", "claims", "expected"), by_check(WRONG))
def test_a_wrong_method_fails_exactly_the_checks_of_its_fault(
    method: Method, claims: str, expected: set[str]
) -> None:
    assert failing(Subject.of(claims, method)) == expected


@pytest.mark.parametrize(
    ("method", "claims", "expected"),
    [pytest.param(*case, id=type(case[0]).__name__) for case in ALTERED],
)
def test_an_altered_method_fails_the_check_of_its_fault(
    method: Method, claims: str, expected: set[str]
) -> None:
    subject = Subject.of(claims, method)
    run = {
        check.title(c): check.outcome(c, subject)
        for c in check.CHECKS
        if check.title(c) in expected
    }
    assert {name: o.verdict for name, o in run.items()} == dict.fromkeys(expected, "FAIL")
    assert not [o for o in run.values() if "Error" in o.detail]  # it ran, and is wrong


def test_the_large_setting_has_the_sizes_and_extremes_of_real_models() -> None:
    large = toy_models.large()
    tokens = large.sets["gold"].tokens
    answers = [tokens.response(row) for row in at_scale.SAMPLES]
    lengths = [len(answer) for answer in answers]
    assert (large.vocabulary, min(lengths), max(lengths)) == (2048, 41, 230)
    for model in (large.student, large.teacher):
        logits_NV = dense_logits(model, large, at_scale.SAMPLES, answers).double()
        x_NV = (logits_NV / toy_models.SETTINGS.temperature).softmax(-1)
        assert (x_NV < 1e-12).any(dim=-1).float().mean() > 0.9
        assert x_NV.topk(100).values.sum(-1).mean() < 0.9999  # the tail has a mass to be missed
        assert model.config.attention_dropout > 0


@pytest.mark.parametrize(
    "numbers", [[i / 97 for i in range(97)], [(i / 60) ** 2 for i in range(60)]]
)
def test_unevenness_is_pearsons_chi_squared(numbers: list[float]) -> None:
    counts = [sum(bin_ / 10 <= x < (bin_ + 1) / 10 for x in numbers) for bin_ in range(10)]
    expected = stats.chisquare(counts)
    assert unevenness(numbers) == pytest.approx((expected.pvalue, expected.statistic), rel=1e-9)


def test_a_choice_spreads_evenly_over_the_jump_of_its_chance() -> None:
    notes = Notes({})
    for _ in range(300):
        notes.chosen("coin", 1, {0: 0.25, 1: 0.75})
    found = sorted(notes.uniforms["coin"])
    assert 0.25 <= found[0] < 0.27
    assert 0.98 < found[-1] <= 1.0
    assert stats.kstest(found, stats.uniform(0.25, 0.75).cdf).pvalue > 0.01


@pytest.mark.parametrize("changes", [{"square_temperature": True}, {"reduction": "sums"}])
@pytest.mark.parametrize("name", ["arkd", "arkd_sampled"])
def test_the_policy_is_rewarded_by_the_loss_that_is_descended(name: str, changes: dict) -> None:
    """Eq 8: r = −L_distil, whatever multiplies L_distil."""
    settings = values.WITHOUT_LM.model_copy(update={"steps": 12, **changes})
    subject = check.subject(name)
    for both in values.compare(subject, toy_models.usual(), settings, steps=12):
        assert both.trace.log["reward"] == pytest.approx(both.log["reward"], rel=1e-5)
        assert both.trace.log["reward"] == pytest.approx(-both.dense_total, rel=1e-5)
        assert both.weights is not None
        assert both.trace.weights is not None
        assert torch.allclose(both.trace.weights[0].double(), both.weights[0], atol=1e-5)


def test_an_undeclared_need_is_named() -> None:
    outcome = check.outcome(check.values.value, Subject.of("forward_kl", NoTeacherDeclared()))
    assert outcome.verdict == "FAIL"
    assert "uses teacher_logits without declaring it" in outcome.detail


def test_a_failure_says_what_was_expected_and_what_came() -> None:
    outcome = check.outcome(check.values.value, Subject.of("forward_kl", Reversed()))
    assert outcome.detail.startswith("loss at step 0: expected 0.")
    assert ", got 0." in outcome.detail


def test_a_method_without_an_oracle_is_told_so_and_passes() -> None:
    subject = Subject.of("no_such_name", Reversed())
    found = {o.check: o for o in check.outcomes(subject)}
    assert found["value"].detail == "formula not compared: the method has no `oracle`"
    assert not [o for o in found.values() if o.verdict == "FAIL"]
    assert check.Checked("it", [*found.values()], 0.0).caveats == ["formula not compared"]


@dataclass(frozen=True)
class ToldItsWeights(Declared, WeightedDivergences):
    """Brings a formula that takes its word for the weights."""

    def weights(self, context: Context, tools: Tools) -> Weights:
        return Weights(0.3, 0.7)

    def oracle(self, p: Tensor, q: Tensor, labels: Tensor, case: Case) -> Tensor:
        assert case.weights is not None
        return formulas.mixed(p, q, *(w.double() for w in case.weights))


def test_the_summary_tells_a_formula_that_is_given_the_methods_own_weights() -> None:
    outcome = check.outcome(values.value, Subject.of("told", ToldItsWeights()))
    assert (outcome.verdict, outcome.detail) == (
        "ok",
        "on gold responses, given its own weights",
    )
    assert check.Checked("told", [outcome], 0.0).caveats == ["given its own weights"]


@pytest.mark.parametrize("name", ["forward_kl", "gkd"])
def test_a_student_with_dropout_repeats_and_resumes_too(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Setting.fresh

    def dropping(setting: Setting) -> Any:
        model = original(setting)
        for module in model.modules():
            if hasattr(module, "attention_dropout"):
                module.attention_dropout = 0.5
        return model

    plain = golden.losses(check.subject(name))
    monkeypatch.setattr(Setting, "fresh", dropping)
    assert golden.losses(check.subject(name)) != plain  # it does drop
    for test in (runs.repeats, runs.resumes):
        assert check.outcome(test, check.subject(name)).verdict == "ok"


def test_a_file_that_imports_torch_at_its_top_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heavy_module.py").write_text("import torch\n")
    monkeypatch.syspath_prepend(tmp_path)
    subject = replace(Subject.of("forward_kl", Reversed()), module="heavy_module")
    outcome = check.outcome(check.declarations.light_import, subject)
    assert (outcome.verdict, "no torch" in outcome.detail) == ("FAIL", True)


@pytest.mark.parametrize(
    ("text", "verdict", "detail"),
    [
        ("import warnings\nwarnings.warn('old')\nprint('words')\n", "ok", ""),
        ("import sys\nsys.exit(3)\n", "FAIL", "importing light_module: it ended with exit code 3"),
        ("1 / 0\n", "FAIL", "importing light_module: ZeroDivisionError: division by zero"),
    ],
)
def test_an_import_is_judged_by_its_end_and_not_by_its_words(
    text: str, verdict: str, detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "light_module.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    subject = replace(Subject.of("forward_kl", Reversed()), module="light_module")
    outcome = check.outcome(check.declarations.light_import, subject)
    assert (outcome.verdict, outcome.detail) == (verdict, detail)


# Methods that say where their defaults come from, none of them published as a value to hold to.
OURS = {
    "opd": "the practice of 2025, whose trainers differ in estimator, baseline and discount",
    "replay_alpha": "which row is replayed is a question of this project's own",
}


@pytest.mark.parametrize("name", catalogue.shipped())
def test_stated_defaults_are_held_to_the_published_ones(name: str) -> None:
    method, listed = check.subject(name).method, check.declarations.PUBLISHED.get(name, {})
    assert bool(listed) == (bool(type(method).defaults) and name not in OURS)
    assert set(listed) <= set(method.params)


@pytest.mark.parametrize(
    ("name", "parameter", "published", "other"),
    [  # as they stand in the authors' scripts and code
        ("adakd", "share_step", 0.05, 0.1),
        ("amid", "order", "pr", "qr"),
        ("bridge_garden", "soft_weight", 0.2, 0.5),
        ("ce_kd", "gold_weight", 0.5, 0.1),
        ("csd", "first", "student", "teacher"),
        ("eopd", "top_k", 16, 32),
        ("iw_opd", "gamma", 0.5, 1.0),
        ("vopd", "baseline_top_k", None, 4),
    ],
)
def test_another_default_than_the_published_one_fails(
    name: str, parameter: str, published: object, other: object
) -> None:
    right = check.subject(name)
    wrong = replace(right, method=replace(right.method, **{parameter: other}))
    outcomes = [
        check.outcome(check.declarations.published_defaults, subject) for subject in (right, wrong)
    ]
    assert [outcome.verdict for outcome in outcomes] == ["ok", "FAIL"]
    expected = f"default of {parameter}: expected {published!r}, got {other!r}"
    assert outcomes[1].detail == expected


# The oracles themselves, on numbers worked out by hand.

P = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
Q = torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64)
LOG_2 = 0.6931471805599453


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (formulas.kl(P, Q), 0.25 * LOG_2),  # ½·log 2 − ¼·log 2
        (formulas.total_variation(P, Q), 0.25),
        (formulas.cross_entropy(Q, torch.tensor([0])), 2 * LOG_2),
        (formulas.of_labels(Q, torch.tensor([1])), 0.5),
        (formulas.at_one(P, 2.0)[:, 0], 2 / 3),  # ¼ of ¼ + 1/16 + 1/16
        (
            formulas.jsd(P, Q, 0.5),
            0.5 * 0.28768207245178090 - 0.25 * 0.4054651081081644,
        ),  # m = ⅜, ⅜, ¼
        (formulas.skew_kl(P, Q, 1.0), 0.0),
        (formulas.alpha_beta(P, Q, 1.0, 0.0), 0.25 * LOG_2),
        (formulas.alpha_beta(P, Q, 1.0, 1.0), 0.0625),  # ½·Σ(p − q)²
        (formulas.head_share(P, Q, 0.5), 0.5),
        (formulas.head_share(P, Q, 0.8), 1.0),
        # binary: ¼·log(¼/½) + ¾·log(¾/½); others: (⅔, ⅓) against (½, ½)
        (
            formulas.decoupled_reverse(P, Q, torch.tensor([0]), 1.0),
            -0.25 * LOG_2 + 0.75 * 0.4054651081081644 + 0.05663301226513249,
        ),
        (formulas.alpha_mixture(P, Q, -1.0, 0.5)[0, 0], 0.375),
        (formulas.alpha_mixture(P, Q, 1.0, 0.5)[0, 2], 0.25 / (2 * 0.125**0.5 + 0.25)),
    ],
)
def test_an_oracle_gives_the_number_worked_out_by_hand(value: Tensor, expected: float) -> None:
    assert value.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("first", ["student", "teacher", "uniform"])
@pytest.mark.parametrize("second", ["student", "teacher", "uniform"])
def test_concrete_scores_multiplied_out_are_the_sum_over_all_pairs(first: str, second: str) -> None:
    g = torch.Generator().manual_seed(3)
    z_NV = (4 * torch.randn(5, 7, generator=g, dtype=torch.float64)).requires_grad_()
    p_NV = (4 * torch.randn(5, 7, generator=g, dtype=torch.float64)).softmax(-1)
    q_NV = z_NV.softmax(-1)
    by = {"student": q_NV.detach(), "teacher": p_NV, "uniform": torch.full_like(p_NV, 1 / 7)}
    pairs_N = torch.zeros(5, dtype=torch.float64)
    for x in range(7):
        for y in range(7):
            of_q_N = (q_NV[:, x] / q_NV[:, y]).log()
            of_p_N = (p_NV[:, x] / p_NV[:, y]).log()
            weight_N = by[first][:, x] * by[second][:, y] / 4
            pairs_N = pairs_N + weight_N * (of_q_N - of_p_N) ** 2
    found_N = formulas.concrete_scores(p_NV, q_NV, first, second)
    assert torch.allclose(found_N, pairs_N, rtol=1e-12)
    slopes = [
        torch.autograd.grad(x_N.sum(), z_NV, retain_graph=True)[0] for x_N in (found_N, pairs_N)
    ]
    assert torch.allclose(*slopes, rtol=1e-10, atol=1e-12)


def test_sums_to_go_end_with_their_response() -> None:
    rewards, rows = torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([0, 0, 0, 3])
    assert formulas.to_go_within(rewards, rows, 0.5).tolist() == [3.0, 4.0, 4.0, 8.0]
    assert formulas.to_go_within(rewards, rows, 0.0).tolist() == rewards.tolist()


# The command.


def test_the_command_prints_a_line_a_check(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["check", "forward_kl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(check.CHECKS) + 1
    assert lines[-1].startswith("forward_kl: ")


def test_a_failing_method_gives_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "broken_one.py").write_text("import not_there\n")
    place = registry.Plugin("broken_one", "broken_one", "test", tmp_path / "broken_one.py")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry.plugins(), "broken_one", place)
    assert cli.main(["check", "sft", "broken_one"]) == 1
    printed = capsys.readouterr().out
    assert "not_there" in printed
    assert "2 methods: 1 pass, 1 fail (broken_one)" in printed


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0 (odd_one.py:"),
        ("raise ValueError('one\\ntwo')", "ValueError: one (odd_one.py:"),
    ],
)
def test_a_method_that_ends_the_process_or_says_much_fails_in_one_line(
    line: str,
    detail: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    text = (ROOT / "baselines" / "tvd.py").read_text(encoding="utf-8")
    before = "        assert log_p_NV is not None\n"
    assert before in text
    text = text.replace(before, f"        print('words')\n        {line}\n")
    (tmp_path / "odd_one.py").write_text(text, encoding="utf-8")
    place = registry.Plugin("odd_one", "odd_one", "test", tmp_path / "odd_one.py")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd_one", raising=False)
    monkeypatch.setitem(registry.plugins(), "odd_one", place)
    assert cli.main(["check", "odd_one"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(check.CHECKS) + 1  # and none of the method's own words
    (told,) = [found for found in lines if detail in found]  # once, and by name where it repeats
    assert any(found.endswith(f"as {told[2:22].strip()}") for found in lines)


def test_a_terminated_check_ends_and_is_no_verdict() -> None:
    def terminating(subject: Subject) -> str:
        step = new_step(toy_models.usual(), subject.method)
        runs.run(step, before=lambda index: os.kill(os.getpid(), signal.SIGTERM))
        return "went on"

    with pytest.raises(SystemExit) as ended:
        check.outcome(terminating, check.subject("forward_kl"))
    assert ended.value.code == 143


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], "name the methods to check, or give --all"),
        (["check", "sft", "--all"], "name the methods to check, or give --all"),
        (["check", "forward_lk"], "did you mean 'forward_kl'?"),
    ],
)
def test_a_wrong_call_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


DIES = """
import os
from dataclasses import dataclass
from arkd.method import Reference, WeightedDivergences
@dataclass(frozen=True)
class Dies(WeightedDivergences):
    summary, equation, deviations = "ends its process", "L = 0", ()
    reference = Reference(title="t", authors="a", year=2026, url="https://a.b", bibtex="@m{m}")
    def weights(self, context, tools):
        os._exit(3)
"""


@pytest.mark.heavy  # starts several processes that each load PyTorch
def test_a_method_that_ends_its_process_fails_by_name_and_no_other(tmp_path: Path) -> None:
    info = tmp_path / "dies-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dies\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[arkd.methods]\ndies = dies\n")
    (tmp_path / "dies.py").write_text(DIES)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    others = ["forward_kl", "reverse_kl", "fixed_mix", "jsd", "sft", "tvd", "seqkd"]
    done = subprocess.run(
        [sys.executable, "-m", "arkd", "check", "dies", *others],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "run FAIL it ended the process that checked it" in " ".join(done.stdout.split())
    assert "8 methods: 7 pass, 1 fail (dies)" in done.stdout


# Golden trajectories.


@pytest.mark.parametrize("name", catalogue.shipped())
def test_twenty_steps_are_those_on_record(name: str) -> None:
    path = GOLDEN / f"{name}.json"
    assert path.is_file(), f"write it: python -m arkd.conformance.golden {name}"
    recorded = json.loads(path.read_text())["losses"]
    assert golden.losses(check.subject(name)) == pytest.approx(recorded, rel=1e-4)
