"""The `evaluate` modules: loaded by path, equal to dense float64 computations, cards that run."""

from __future__ import annotations

import ast
import doctest
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pytest
import torch
import yaml
from conftest import ROOT
from torch import Tensor

from arkd.errors import ArkdError
from arkd.metrics.token_fidelity import Calibration, measure, measure_tokens
from arkd.paths import benchmarks_dir
from arkd.suite.settings import TailSettings

METRICS = benchmarks_dir() / "metrics"
NAMES = ("distribution_fidelity", "full_ece", "rank_bins", "tail_recall")
PAIRED = tuple(name for name in NAMES if name != "full_ece")
N, V = 40, 130
Load = Callable[..., Any]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """`evaluate.load` of one of the modules, with caches of its own and no network."""
    from evaluate import config, loading

    home, original = tmp_path_factory.mktemp("hf"), loading.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "HF_MODULES_CACHE", home / "modules")
        patch.setattr(config, "HF_METRICS_CACHE", home / "metrics")
        patch.setattr(loading, "HubEvaluationModuleFactory", None)
        patch.setattr(sys, "path", [*sys.path])

        def of_path(name: str, **options: Any) -> Any:
            return original(str(METRICS / name), cache_dir=str(home / "metrics"), **options)

        yield of_path


@pytest.fixture(scope="module")
def logits() -> tuple[Tensor, Tensor, Tensor]:
    """Student and teacher logits [N, V] that know of each other, and labels [N]."""
    g = torch.Generator().manual_seed(11)
    teacher = 2.5 * torch.randn(N, V, generator=g)
    student = 0.8 * teacher + torch.randn(N, V, generator=g)
    return student, teacher, torch.randint(0, V, (N,), generator=g)


def ranked(student: Tensor, teacher: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Both models' probabilities in float64, in the order of the teacher's ranks [N, V]."""
    q, p = (oracles.probabilities(z).numpy() for z in (student, teacher))
    order = np.argsort(-p, axis=-1, kind="stable")
    return np.take_along_axis(q, order, -1), np.take_along_axis(p, order, -1)


def generalised(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x·log(x/y) − x + y, element by element."""
    return x * np.log(x / y) - x + y


def expected_fidelity(student: Tensor, teacher: Tensor, mass: float, k: int) -> dict[str, float]:
    q, p = ranked(student, teacher)
    tail = np.cumsum(p, -1) - p >= mass
    m = (p + q) / 2
    top_q, top_p = (np.argsort(-x, axis=-1)[:, :k] for x in (q, p))
    overlap = [len(set(a) & set(b)) / k for a, b in zip(top_q, top_p, strict=True)]
    parts = {}
    for name, terms in (("fkl", generalised(p, q)), ("rkl", generalised(q, p))):
        parts[f"{name}_head"] = np.where(tail, 0, terms).sum(-1).mean()
        parts[f"{name}_tail"] = np.where(tail, terms, 0).sum(-1).mean()
    return parts | {
        "fkl": (p * np.log(p / q)).sum(-1).mean(),
        "rkl": (q * np.log(q / p)).sum(-1).mean(),
        "jsd": ((p * np.log(p / m) + q * np.log(q / m)).sum(-1) / 2).mean(),
        "tvd": abs(p - q).sum(-1).mean() / 2,
        "agreement_top1": (q.argmax(-1) == 0).mean(),
        "agreement_topk": np.mean(overlap),
        "entropy_gap": ((p * np.log(p)).sum(-1) - (q * np.log(q)).sum(-1)).mean(),
        "acceptance": np.minimum(p, q).sum(-1).mean(),
    }


def expected_tail(
    student: Tensor, teacher: Tensor, mass: float, scale: float, c: float
) -> dict[str, float]:
    q, p = ranked(student, teacher)
    tail = np.cumsum(p, -1) - p >= mass
    counted = tail & (p >= scale / V)
    return {
        "tail_recall": (counted & (q >= c * p)).sum() / counted.sum(),
        "tail_precision": q[counted].sum() / q[tail].sum(),
        "tail_mass_ratio": q[tail].sum() / p[tail].sum(),
        "tail_tokens": counted.sum(),
    }


def expected_bins(student: Tensor, teacher: Tensor) -> dict[str, float]:
    q, p = ranked(student, teacher)
    terms = {"abs_gap": abs(p - q), "fkl": generalised(p, q), "rkl": generalised(q, p)}
    bins = {"rank_1": slice(0, 1), "rank_2_10": slice(1, 10), "rank_11_up": slice(10, None)}
    return {
        f"{name}_{of_bin}": values[:, ranks].sum(-1).mean()
        for name, values in terms.items()
        for of_bin, ranks in bins.items()
    }


def expected_ece(student: Tensor, labels: Tensor, bins: int) -> dict[str, float]:
    q = oracles.probabilities(student).numpy()
    hits = np.eye(V)[labels.numpy()]
    found = {}
    top = q.argmax(-1)[:, None]
    for name, x, y in (
        ("ece", np.take_along_axis(q, top, -1), np.take_along_axis(hits, top, -1)),
        ("full_ece", q, hits),
    ):
        inside = [(x >= b / bins) & (x < (b + 1) / bins) for b in range(bins)]
        found[name] = sum(abs(y[one].sum() - x[one].sum()) for one in inside) / len(q)
    return found


@pytest.mark.parametrize(("mass", "k"), [(0.9, 5), (0.5, 2), (0.99, V)])
def test_fidelity_equals_dense_float64(
    load: Load, logits: tuple[Tensor, ...], mass: float, k: int
) -> None:
    student, teacher, _ = logits
    metric = load("distribution_fidelity")
    found = metric.compute(predictions=student, references=teacher, tail_mass=mass, top_k=k)
    assert found == pytest.approx(expected_fidelity(student, teacher, mass, k), rel=1e-4)


@pytest.mark.parametrize("mass", [0.5, 0.9])
def test_tail_overlap_and_mass_equal_dense_float64(
    mass: float, logits: tuple[Tensor, Tensor, Tensor]
) -> None:
    student, teacher, labels = logits
    settings = TailSettings(tail_mass=mass, overlap=True)
    found = measure(student, teacher, labels, settings)
    q, p = ranked(student, teacher)
    tail = np.cumsum(p, -1) - p >= mass
    shared, either = (x.double().sum() for x in found["tail_overlap", ""])
    expected = 2 * np.minimum(p, q)[tail].sum() / (p + q)[tail].sum()
    assert float(shared / either) == pytest.approx(expected, rel=1e-5)
    assert 0 < expected < 1
    own, ones = found["tail_mass", ""]
    assert float(own.double().sum() / ones.sum()) == pytest.approx(q[tail].sum() / len(q), rel=1e-5)
    assert ("tail_overlap", "") not in measure(student, teacher, labels, TailSettings())


@pytest.mark.parametrize(("mass", "scale", "c"), [(0.9, 0.1, 0.5), (0.5, 0.02, 0.9)])
def test_tail_recall_equals_dense_float64(
    load: Load, logits: tuple[Tensor, ...], mass: float, scale: float, c: float
) -> None:
    student, teacher, _ = logits
    options = {"tail_mass": mass, "epsilon_scale": scale, "recall_ratio": c}
    found = load("tail_recall").compute(predictions=student, references=teacher, **options)
    assert found == pytest.approx(expected_tail(student, teacher, mass, scale, c), rel=1e-4)
    assert 0 < found["tail_recall"] < 1


def test_rank_bins_equal_dense_float64(load: Load, logits: tuple[Tensor, ...]) -> None:
    student, teacher, _ = logits
    found = load("rank_bins").compute(predictions=student, references=teacher)
    assert found == pytest.approx(expected_bins(student, teacher), rel=1e-4)


@pytest.mark.parametrize("bins", [15, 4])
def test_full_ece_equals_dense_float64(load: Load, logits: tuple[Tensor, ...], bins: int) -> None:
    student, _, labels = logits
    found = load("full_ece").compute(predictions=student, references=labels, ece_bins=bins)
    assert found == pytest.approx(expected_ece(student, labels, bins), rel=1e-4)


def test_values_are_those_of_the_pipeline(load: Load, logits: tuple[Tensor, ...]) -> None:
    """The defaults are a suite's defaults, and the pipeline's own sums give the same numbers."""
    from arkd.divergence.head import Head

    student, teacher, labels = logits
    eye = Head(torch.eye(V))
    measured, calibration = measure_tokens(student, eye, teacher, eye, labels, TailSettings())
    assert isinstance(calibration, Calibration)
    whole = calibration.errors()
    for (metric, group), (sums, weights) in measured.items():
        whole[f"{metric}_{group}".rstrip("_")] = float(sums.sum() / weights.sum())
    found: dict[str, float] = {}
    for name in PAIRED:
        found |= load(name).compute(predictions=student, references=teacher)
    found |= load("full_ece").compute(predictions=student, references=labels)
    found["agreement_top5"] = found.pop("agreement_topk")
    assert found.pop("tail_tokens") == int(measured["tail_recall", ""][1].sum())
    assert set(whole) - set(found) == {"nll"}  # which needs no module
    assert found == pytest.approx({name: whole[name] for name in found}, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_batches_add_up(load: Load, logits: tuple[Tensor, ...], name: str) -> None:
    student, teacher, labels = logits
    truth = labels if name == "full_ece" else teacher
    metric = load(name)
    whole = metric.compute(predictions=student, references=truth)
    for rows in (slice(0, 7), slice(7, 7), slice(7, 31)):  # a batch may have no token at all
        metric.add_batch(predictions=student[rows], references=truth[rows])
    assert len(metric) == 31
    for row in range(31, N - 1):
        metric.add(prediction=student[row], reference=truth[row])
    rest = {"predictions": student[N - 1 :], "references": truth[N - 1 :]}
    assert metric.compute(**rest) == pytest.approx(whole, rel=1e-6)
    assert metric.compute(predictions=student, references=truth) == whole  # and starts anew


@pytest.mark.parametrize("name", NAMES)
def test_lists_arrays_and_tensors_are_the_same(
    load: Load, logits: tuple[Tensor, ...], name: str
) -> None:
    student, teacher, labels = logits
    truth = labels if name == "full_ece" else teacher
    metric = load(name, keep_in_memory=True)
    whole = metric.compute(predictions=student, references=truth)
    for turned in (
        lambda x: x.numpy(),
        lambda x: x.tolist(),
        lambda x: list(x),
        lambda x: [row.numpy() for row in x],
        lambda x: x.double() if x.is_floating_point() else x.int(),
    ):
        assert metric.compute(predictions=turned(student), references=turned(truth)) == whole
    half = metric.compute(predictions=student.bfloat16().requires_grad_(), references=truth)
    exact = metric.compute(predictions=student.bfloat16().float(), references=truth)
    assert half == exact


def test_log_probabilities_are_logits_too(load: Load, logits: tuple[Tensor, ...]) -> None:
    student, teacher, _ = logits
    metric = load("distribution_fidelity")
    found = metric.compute(predictions=student.log_softmax(-1), references=teacher.log_softmax(-1))
    whole = metric.compute(predictions=student, references=teacher)
    assert found == pytest.approx(whole, rel=1e-4)


def test_chunks_do_not_change_the_result(
    load: Load, logits: tuple[Tensor, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher, labels = logits
    whole = load("tail_recall").compute(predictions=student, references=teacher)
    errors = load("full_ece").compute(predictions=student, references=labels)
    monkeypatch.setattr("arkd.divergence.chunked.CHUNK_BYTES", 4 * V * 3)
    found = load("tail_recall").compute(predictions=student, references=teacher)
    assert found == pytest.approx(whole, rel=1e-6)
    found = load("full_ece").compute(predictions=student, references=labels)
    assert found == pytest.approx(errors, rel=1e-6)


def test_modules_combine(load: Load, logits: tuple[Tensor, ...]) -> None:
    import evaluate

    student, teacher, _ = logits
    alone = [load(name).compute(predictions=student, references=teacher) for name in PAIRED]
    both = evaluate.combine([load(name) for name in PAIRED])
    found = both.compute(predictions=student, references=teacher)
    assert found == {key: value for one in alone for key, value in one.items()}


def test_no_counted_tail_token_gives_nan_and_no_error(load: Load) -> None:
    sure = [[50.0, 0.0, 0.0], [0.0, 60.0, 0.0]]
    found = load("tail_recall").compute(predictions=sure, references=sure)
    assert math.isnan(found["tail_recall"])
    assert found["tail_tokens"] == 0


def test_a_small_vocabulary_needs_a_small_top_k_only_where_it_is_asked(load: Load) -> None:
    three = {"predictions": [[1.0, 2.0, 5.0]], "references": [[1.0, 3.0, 5.0]]}
    assert load("rank_bins").compute(**three)["abs_gap_rank_1"] > 0
    assert load("distribution_fidelity").compute(**three, top_k=3)["agreement_topk"] == 1.0


GOOD = [[0.5, 1.0, 2.0], [3.0, 1.0, 0.0]]
MISTAKES = {
    "missing": ({}, r"tail_recall: no tokens: pass or add"),
    "one alone": ({"predictions": GOOD}, r"references: missing"),
    "shape": (
        {"predictions": GOOD, "references": GOOD[:1]},
        r"references: shape \(1, 3\), but predictions have \(2, 3\)",
    ),
    "vocabulary": (
        {"predictions": GOOD, "references": [row[:2] for row in GOOD]},
        r"cut to the vocabulary that both have",
    ),
    "batched": ({"predictions": [GOOD], "references": [GOOD]}, r"3 dimensions.*\[tokens, vocab"),
    "ragged": ({"predictions": [[0.5, 1.0], [3.0]], "references": GOOD}, r"different lengths"),
    "text": ({"predictions": ["a", "b"], "references": GOOD}, r"where numbers are expected"),
    "infinite": (
        {"predictions": GOOD, "references": [GOOD[0], [0.0, -math.inf, 1.0]]},
        r"references: row 1 is not finite",
    ),
    "probabilities": (
        {"predictions": [[0.2, 0.3, 0.5]], "references": [[0.5, 1.0, 2.0]]},
        r"predictions: all rows sum to 1: pass logits or log-probabilities",
    ),
    "unknown": (
        {"predictions": GOOD, "references": GOOD, "tail_mas": 0.5},
        r"unknown option tail_mas \(did you mean 'tail_mass'\?\); it has tail_mass, epsilon_scale",
    ),
    "range": (
        {"predictions": GOOD, "references": GOOD, "tail_mass": 1.5},
        r"tail_mass: Input should be less than 1 \(found 1\.5\)",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(load: Load, mistake: str) -> None:
    given, message = MISTAKES[mistake]
    metric = load("tail_recall")
    whole = metric.compute(predictions=GOOD, references=GOOD)
    with pytest.raises(ArkdError, match=message) as caught:
        metric.compute(**given)
    assert "\n" not in str(caught.value)
    assert metric.compute(predictions=GOOD, references=GOOD) == whole


def test_too_large_a_top_k_leaves_nothing_behind(load: Load) -> None:
    metric = load("distribution_fidelity")
    with pytest.raises(ArkdError, match=r"top_k = 5 of a vocabulary of 3; pass a smaller top_k"):
        metric.compute(predictions=GOOD, references=GOOD)
    assert len(metric) == 0


def test_batches_of_two_vocabularies_are_refused(load: Load) -> None:
    metric = load("tail_recall")
    metric.add_batch(predictions=GOOD, references=GOOD)
    wider = [[*row, 1.0] for row in GOOD]
    with pytest.raises(ArkdError, match=r"a vocabulary of 4, but earlier batches had 3"):
        metric.add_batch(predictions=wider, references=wider)
    assert metric.compute()["tail_mass_ratio"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], r"int64 of shape \(3,\); pass one label"),
        ([0.0, 1.0], r"float64 of shape"),
        ([[0], [1]], r"shape \(2, 1\)"),
        ([0, 3], r"label 3 is not in the vocabulary of 3"),
        ([-100, 0], r"label -100 .* leave padding out"),
    ],
)
def test_a_label_that_is_none_is_named(load: Load, labels: Any, message: str) -> None:
    with pytest.raises(ArkdError, match=message):
        load("full_ece").compute(predictions=GOOD, references=labels)


def test_a_module_loads_by_relative_path_in_a_fresh_process(tmp_path: Path) -> None:
    """As a user does, offline, and with caches in their HF_HOME alone."""
    code = (
        "import evaluate, json\n"
        "found = [evaluate.load(p).compute(predictions=x, references=y)\n"
        "         for x, y in [([[2.0, 1.0, 0.5]], [[2.0, 1.5, 0.1]])]\n"
        "         for p in ('benchmarks/metrics/tail_recall',\n"
        "                   './benchmarks/metrics/tail_recall/tail_recall.py')]\n"
        "print(json.dumps(found))"
    )
    own = {"HF_HOME": str(tmp_path / "hf"), "HF_EVALUATE_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, check=True
    )
    first, second = json.loads(done.stdout.splitlines()[-1])
    assert first == second
    assert first["tail_precision"] > 0
    assert list((tmp_path / "hf").rglob("tail_recall.py"))


def card(name: str) -> str:
    return (METRICS / name / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["", *NAMES])
def test_the_code_of_a_card_runs_and_prints_what_it_says(
    name: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    import evaluate

    def own(path: str) -> Any:  # the same module, with caches of the test's own
        assert (ROOT / path).is_dir()
        return load(Path(path).name)

    monkeypatch.setattr(evaluate, "load", own)
    monkeypatch.setattr("evaluate.loading.load", own)
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", card(name), re.S)
    assert blocks
    test = doctest.DocTestParser().get_doctest("".join(blocks), {}, name, str(METRICS), 0)
    assert len(test.examples) >= 4
    out: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=out.append)
    assert result.failed == 0, "".join(out)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_has_the_usual_parts(name: str) -> None:
    _, front, body = card(name).split("---\n", 2)
    head = yaml.safe_load(front)
    assert set(head["tags"]) == {"evaluate", "metric"}
    assert head["title"]
    assert head["description"]
    title, *parts = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", body, flags=re.S), re.M)
    assert title.startswith("Metric Card for ")
    assert parts == [
        *("Metric Description", "How to Use", "Inputs", "Output Values"),
        *("Values from Popular Papers", "Examples", "Limitations and Bias"),
        *("Citation", "Further References"),
    ]
    assert f"[`{name}`]({name}/README.md)" in card("")


@pytest.mark.parametrize("name", NAMES)
def test_a_card_and_its_module_say_the_same(name: str, load: Load) -> None:
    metric = load(name)
    outputs = card(name).partition("### Output Values")[2].partition("####")[0]
    inputs = card(name).partition("### Inputs")[2].partition("###")[0]
    truth = [0, 1] if name == "full_ece" else GOOD
    options = {"top_k": 2} if name == "distribution_fidelity" else {}
    found = metric.compute(predictions=GOOD, references=truth, **options)
    for key in found:
        key = re.sub(r"_rank_.*", "_BIN", key)
        assert f"**{key}**" in outputs, key
        assert key.replace("_BIN", "_rank_1") in metric.inputs_description
    defaults = TailSettings()
    for option in metric.options:
        assert f"- **{option}** (" in inputs
        default = getattr(defaults, option)
        assert re.search(rf"\*\*{option}\*\* \(`\w+`, default {default}\)", inputs)
        assert re.search(rf"{option} \(.*Default {default}\.", metric.inputs_description)
    for entry in re.findall(r"@\w+\{(\w+),", metric.citation):
        assert f"{{{entry}," in card(name)
    assert metric.license == "Apache-2.0"


@pytest.mark.parametrize("name", NAMES)
def test_a_module_computes_nothing_of_its_own(name: str) -> None:
    """No second implementation: a module has no arithmetic, and imports the pipeline's measures."""
    tree = ast.parse((METRICS / name / f"{name}.py").read_text(encoding="utf-8"))
    arithmetic = (ast.Mult, ast.Div, ast.Sub, ast.Add, ast.Pow, ast.MatMult)
    assert not [
        n for n in ast.walk(tree) if isinstance(n, ast.BinOp) and isinstance(n.op, arithmetic)
    ]
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {"arkd.metrics", "arkd.metrics.hf_evaluate"} & imported
