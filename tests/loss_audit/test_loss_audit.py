"""Each planted defect is found by name, exact losses come out clean, bad input is one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from importlib import import_module, metadata
from pathlib import Path

import pytest
import torch
import wrong_losses
from conftest import ROOT

from arkd.cli.main import main
from arkd.errors import ArkdError
from arkd.loss_audit import batches, fit, table
from arkd.loss_audit.catalogue import CATALOGUE, exact
from arkd.loss_audit.facts import Audit, Fact
from arkd.loss_audit.run import audit
from arkd.loss_audit.targets import resolve, shipped, shipped_losses

FILE = ROOT / "tests" / "wrong_losses.py"


@cache
def audited(name: str) -> dict[str, Fact]:
    return {fact.property: fact for fact in audit(resolve(f"{FILE}:{name}")).facts}


def findings(facts: dict[str, Fact]) -> set[str]:
    return {name for name, fact in facts.items() if fact.finding}


@pytest.mark.parametrize(
    "name", ["forward_kl", "reverse_kl", "jsd", "tvd", "skew_kl", "AsModule", "AsDataclass"]
)
def test_an_exact_loss_has_no_finding(name: str) -> None:
    facts = audited(name)
    assert findings(facts) == set(), {name: facts[name].measured for name in findings(facts)}
    assert facts["divergence"].numbers["error"] < 1e-4


@pytest.mark.parametrize(
    ("name", "found", "measured"),
    [
        ("wrong_divergence", "divergence", "reverse KL"),
        ("reversed_sign", "divergence", "forward KL with the sign reversed"),
        ("wrong_shift", "shift", "logits[t] with labels[t + 1]"),
        ("no_mask", "mask", "gradient at 32 positions that are labelled −100"),
        ("no_squared_temperature", "temperature", "softens both models, no factor"),
        ("student_softened_alone", "temperature", "softens the student alone, times T²"),
        ("sequence_mean", "reduction", "sequence mean"),
        ("padded_mean", "reduction", "padded mean"),
        ("half", "scale", "0.5 times the token mean of forward KL"),
        ("top_k", "support", "the teacher's 64 most probable tokens: forward KL of them, as they"),
        ("top_k_reverse", "agreement", "negative"),
        ("top_k_reverse", "support", "the teacher's 32 most probable tokens: reverse KL of them"),
        (
            "student_top_k",
            "support",
            "the student's 50 most probable tokens: reverse KL of them, n",
        ),
        ("clamped", "clamp", "no gradient at 25 % of the positions"),
        ("floored", "clamp", "times its formula"),
        ("cross_entropy_mixed_in", "cross-entropy", "0.7 · reverse KL + 0.3 · cross-entropy"),
        ("beta_reversed", "beta", "1 - gkd"),
        ("fading_end", "beta → 1", "norm 0.9"),
        ("teacher_learns", "teacher gradient", "reaches the teacher's logits"),
        ("nan_at_impossible", "impossible tokens", "NaN"),
        ("entropy_left_in", "value", "1 of the teacher's entropy is left in"),
        ("overflows", "finite logits", "value or gradient is no number where they are"),
        ("half_precision", "bfloat16", "gradient by"),
        ("noisy", "repeat", "differ by"),
        ("nan_of_one_sequence", "micro-batches", "a single sequence: value or gradient is no n"),
        ("nan_of_three_sequences", "reduction", "value or gradient is no number on 3 sequences"),
        ("nan_of_long_sequences", "padding", "7 more padded positions change the value by nan"),
        ("nan_of_flat_students", "agreement", "is no number with a flatter student"),
        ("nan_when_softened", "temperature", "at 2: value or gradient is no number"),
        ("still_when_softened", "temperature", "at 2: no gradient at most positions"),
    ],
)
def test_a_planted_defect_is_found_by_name(name: str, found: str, measured: str) -> None:
    facts = audited(name)
    assert found in findings(facts), facts[found].measured
    assert measured in facts[found].measured


# What follows from a defect by necessity and is told with it.
IMPLIED = {
    "wrong_divergence": {"divergence"},
    "wrong_shift": {"shift"},
    "sequence_mean": {"reduction"},
    "half": {"scale"},
    "clamped": {"clamp"},
    "cross_entropy_mixed_in": {"cross-entropy", "divergence"},
    "beta_reversed": {"beta"},
    "teacher_learns": {"teacher gradient"},
    "nan_at_impossible": {"impossible tokens"},
    "entropy_left_in": {"value"},
    "no_squared_temperature": {"temperature"},
}


@pytest.mark.parametrize("name", IMPLIED)
def test_a_defect_is_no_other_finding(name: str) -> None:
    assert findings(audited(name)) == IMPLIED[name]


def test_a_surrogate_of_value_0_is_audited_to_its_end() -> None:
    facts = audited("surrogate")
    assert findings(facts) == {"value"}
    assert facts["divergence"].measured.startswith("sampled-token reverse KL, gradient error")
    assert facts["value"].measured.startswith("0 where sampled-token reverse KL is")
    assert facts["padding"].measured == "changes nothing"
    assert facts["bfloat16"].numbers["value"] == 0
    assert facts["vocabulary"].numbers["student"] == 0


def test_positions_that_are_left_out_do_not_hide_the_temperature() -> None:
    facts = audited("first_sequence_alone")
    assert facts["mask"].measured == "no gradient at 23 of 32 labelled positions"
    assert facts["temperature"].measured == "softens both models, times T²"


def test_a_loss_that_prints_leaves_the_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    main(["audit", f"{FILE}:talks", "--json"])
    out, err = capsys.readouterr()
    assert [found["target"] for found in json.loads(out)] == [f"{FILE}:talks"]
    assert "a line of the loss's own" in err


def test_a_loss_that_switches_gradients_off_leaves_the_next_one_alone() -> None:
    audited("switches_gradients_off")
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_catalogue_has_the_gradients_of_the_closed_forms(temperature: float) -> None:
    """∇KL(p‖q) = (q − p)/T and ∇KL(q‖p) = q·(log q/p − KL)/T on the student's logits."""
    generator = torch.Generator().manual_seed(3)
    student, teacher = torch.randn(2, 5, 11, generator=generator, dtype=torch.float64)
    q, p = ((x / temperature).softmax(-1) for x in (student, teacher))
    labels = torch.arange(5)
    both = (temperature, temperature)
    found = exact(CATALOGUE["forward_kl"], student, teacher, labels, (), both)
    assert torch.allclose(found.grad_NV, (q - p) / temperature, atol=1e-14)
    ratio = (q / p).log()
    value = (q * ratio).sum(-1, keepdim=True)
    found = exact(CATALOGUE["reverse_kl"], student, teacher, labels, (), both)
    assert torch.allclose(found.grad_NV, q * (ratio - value) / temperature, atol=1e-14)
    assert torch.allclose(found.value_N, value[:, 0])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [(name, (0.37,)) for name in ("jsd", "mixed_kl", "skew_kl", "skew_rkl")]
    + [("alpha_beta", (0.2, 0.7)), ("todi", ()), ("sampled_rkl", ()), ("logits_mse", ())],
)
def test_a_divergence_is_recognised_with_its_parameter(
    name: str, parameters: tuple[float, ...]
) -> None:
    batch = batches.draw(vocabulary=64)
    rows = (batch.student_BTV[0], batch.teacher_BTV[0], torch.arange(16))
    grad_NV = exact(CATALOGUE[name], *rows, parameters).grad_NV
    found = fit.nearest(fit.Rows(*rows, 0.25 * grad_NV))
    assert found.name == name
    assert found.parameters == pytest.approx(parameters, abs=1e-4)
    assert found.weight_N.tolist() == pytest.approx([0.25] * 16, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("needs_more", "parameters (student, teacher, labels, weights) are not understood"),
        ("no_gradient", "has no gradient on the student's logits"),
        ("no_tensor", "returns float, no tensor"),
        ("raises", "refuses a batch of logits (4, 16, 2048), labels (4, 16): ValueError: two dim"),
        ("lacks_a_module", "No module named 'no_such_module'; install what it needs"),
        ("not_a_number", "no number on an ordinary batch"),
        ("misspelt", "divergense: unknown key (did you mean 'divergence'?)"),
        ("forwrad_kl", "no 'forwrad_kl' in it (did you mean 'forward_kl'?)"),
    ],
)
def test_what_cannot_be_audited_is_one_line(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", f"{FILE}:{name}"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("forward_kl", "not a loss; name it as"),
        ("missing.py:loss", "no such file; `arkd audit --new missing.py` writes one"),
        ("no_such_package.losses:kd", "module 'no_such_package' is not installed"),
        ("math:pi", "a function or class is wanted, found float"),
    ],
)
def test_a_target_that_is_not_there_is_one_line(target: str, message: str) -> None:
    with pytest.raises(ArkdError, match=r"^[^\n]+$") as caught:
        resolve(target)
    assert message in str(caught.value)


def test_what_is_declared_of_a_loss_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """It would be compared with nothing."""
    file = tmp_path / "mine.py"
    text = "def loss(student_logits, teacher_logits):\n    return student_logits.sum()\n"
    file.write_text(f"{text}DECLARES = {{'los': {{'divergence': 'forward_kl'}}}}\n")
    with pytest.raises(ArkdError, match=r"DECLARES: no 'los' in it \(did you mean 'loss'\?\)"):
        resolve(f"{file}:loss")


def test_of_several_names_of_one_thing_the_first_is_taken(tmp_path: Path) -> None:
    line = "def loss(student_logits, teacher_logits, labels, targets=None, logits=None): ...\n"
    (tmp_path / "mine.py").write_text(line)
    found = resolve(f"{tmp_path / 'mine.py'}:loss").parameters
    names = {"student": "student_logits", "teacher": "teacher_logits", "labels": "labels"}
    assert found == names


def test_a_module_that_fails_in_many_words_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text('print("before")\nraise RuntimeError("first\\nsecond")')
    with pytest.raises(ArkdError, match=r"^[^\n]+: cannot be loaded: RuntimeError: first$"):
        resolve(f"{tmp_path / 'fails.py'}:loss")


def test_exit_codes_json_and_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exact_, wrong = f"{FILE}:tvd", f"{FILE}:half"
    assert main(["audit", exact_, "--json"]) == 0
    assert main(["audit", wrong, exact_, "--json", "--out", str(tmp_path)]) == 1
    both = json.loads(capsys.readouterr().out.split("]\n[")[-1].join(("[", "")))
    assert [found["target"] for found in both] == [wrong, exact_]
    pages = sorted(path.suffix for path in tmp_path.iterdir())
    assert pages == [".json", ".json", ".md", ".md"]
    (page,) = tmp_path.glob("*half.md")
    assert "| finding | scale | 0.5 times the token mean of forward KL |" in page.read_text()
    (file,) = tmp_path.glob("*half.json")
    again = Audit.from_json(json.loads(file.read_text(encoding="utf-8")))
    assert [fact.property for fact in again.findings] == ["scale"]


def test_the_calls_of_a_page_run(tmp_path: Path) -> None:
    """The block under "Reproduce" is Python that shows the finding."""
    from arkd.loss_audit.pages import markdown

    found = audit(resolve(f"{FILE}:beta_reversed"))
    block = markdown(found).partition("```python\n")[2].partition("```")[0]
    names: dict[str, object] = {}
    exec(block, names)
    assert names["loss"].name.endswith("beta_reversed")  # type: ignore[attr-defined]


def test_a_new_adapter_is_clean_and_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "--new", "mine.py"]) == 0
    assert main(["audit", "mine.py:loss"]) == 0
    assert main(["audit", "--new", "mine.py"]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_adapter_without_its_package_is_one_line(name: str) -> None:
    package = import_module(f"arkd.loss_audit.adapters.{name}").PACKAGE
    (loss, *_) = [found for found in shipped_losses() if found.startswith(f"{name}:")]
    if is_installed(package):
        assert resolve(loss).version.startswith(package)
        return
    with pytest.raises(ArkdError, match=rf"{loss}: the package {package} is not installed; `pip"):
        resolve(loss)


def is_installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def test_installed_releases_measure_as_they_are_kept() -> None:
    """Findings, word by word, of every release that is here in the version of the table."""
    here = [kept for kept in table.kept() if is_here(*kept.version.split())]
    if not here:
        pytest.skip("no audited release is here; try `pip install --no-deps trl==1.16.0`")
    for kept in here:
        found = [fact.measured for fact in audit(resolve(kept.target)).findings]
        assert (kept.target, found) == (kept.target, [fact.measured for fact in kept.findings])


RELEASE = "silverspoon-kd==0.1.0"  # Python alone, of 30 kB, which needs torch and nothing else


@pytest.mark.heavy  # fetches it
def test_a_release_that_is_fetched_measures_as_it_is_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path)]
    done = subprocess.run([*command, RELEASE], capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        pytest.skip(f"pip cannot fetch {RELEASE} ({why}): run this where an index has it")
    kept = {k.target: k for k in table.kept() if k.version == RELEASE.replace("==", " ")}
    assert set(kept) == {"silverspoon_kd:kl", "silverspoon_kd:jsd"}
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "arkd", "audit", *kept, "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr  # both have findings
    audits = [Audit.from_json(found) for found in json.loads(done.stdout)]
    assert [found.target for found in audits] == list(kept)
    for found in audits:
        assert found.version == kept[found.target].version
        measured = [(fact.property, fact.measured) for fact in found.findings]
        assert measured == [(f.property, f.measured) for f in kept[found.target].findings]
        assert measured


def is_here(package: str, version: str) -> bool:
    return is_installed(package) and metadata.version(package) == version


def test_the_page_shows_the_audits_that_are_kept() -> None:
    page = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    shown = page.partition(f"{table.START}\n")[2].partition(table.END)[0]
    assert shown == table.text(table.kept())
    assert {kept.target for kept in table.kept()} == set(shipped_losses())


def test_a_page_without_marks_is_one_line(tmp_path: Path) -> None:
    page = tmp_path / "audit.md"
    with pytest.raises(ArkdError, match="no such page; run `arkd pages` in a checkout"):
        table.write(page)
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(ArkdError, match="no place for a table; put '<!-- audits -->'"):
        table.write(page)


def test_the_wrong_losses_are_what_they_say() -> None:
    """The oracle of the tests themselves: forward KL of a hand-made case, 0.5·ln(4/3)."""
    teacher = torch.tensor([[[0.0, 0.0]]])
    student = torch.tensor([[[0.0, float(torch.tensor(3.0).log())]]])
    found = wrong_losses.forward_kl(student, teacher, torch.zeros(1, 1, dtype=torch.long))
    assert float(found) == pytest.approx(0.5 * float(torch.tensor(4 / 3).log()), rel=1e-6)
