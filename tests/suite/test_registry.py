"""Methods are found by their place, and what is wrong with one is one clear line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from arkd.errors import ArkdError
from arkd.method import FullStep, TokenDivergence, WeightedDivergences
from arkd.suite import registry, rows
from arkd.suite.protocol import MethodEntry


def test_a_method_is_named_after_its_file() -> None:
    for name, plugin in registry.plugins().items():
        assert plugin.file is None or plugin.file.stem == name


@pytest.mark.parametrize("name", registry.plugins())
def test_every_method_says_what_it_is(name: str) -> None:
    cls = registry.method_class(name)
    assert issubclass(cls, (WeightedDivergences, TokenDivergence, FullStep))
    assert cls.summary
    assert cls.equation
    assert cls.reference.url.startswith("https://")
    assert cls.reference.bibtex.startswith("@")
    assert "deviations" in vars(cls)  # "none" is an answer, silence is not
    assert set(cls.responses) <= {"gold", "teacher", "student"}


def test_an_unknown_method_offers_the_nearest() -> None:
    with pytest.raises(ArkdError, match=r"no method 'forward_lk' \(did you mean 'forward_kl'\?\)"):
        registry.method_class("forward_lk")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alhpa": 0.2}, r"unknown parameter 'alhpa' \(did you mean 'alpha'\?\); it has alpha"),
        ({"alpha": 1.5}, r"alpha must lie in \[0, 1\], found 1.5"),
        ({"alpha": "much"}, r"alpha: .*valid number.*'much'"),
    ],
)
def test_a_wrong_parameter_is_named(params: dict, message: str) -> None:
    with pytest.raises(ArkdError, match=message):
        rows.build(MethodEntry(name="fixed_mix", params=params))


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_text_that_is_no_finite_number_is_refused(text: str) -> None:
    """YAML's own are .nan and .inf; without the point they are text, which a float accepts."""
    with pytest.raises(ArkdError, match="entropy_weight: a finite number is wanted"):
        rows.build(MethodEntry(name="arkd", params={"entropy_weight": text}))


def test_a_setting_with_few_values_takes_no_other() -> None:
    params = {"first_baseline": "frist_reward"}
    with pytest.raises(ArkdError, match=r"first_baseline: .*'first_reward' or 'zero'"):
        rows.build(MethodEntry(name="arkd", params=params))


def test_a_broken_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_method.py").write_text("import not_there\n")
    (tmp_path / "empty_method.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, message in (("broken_method", "importing.*not_there"), ("empty_method", "found 0")):
        place = registry.Plugin(name, name, "test", tmp_path / f"{name}.py")
        monkeypatch.setitem(registry.plugins(), name, place)
        with pytest.raises(ArkdError, match=message):
            registry.method_class(name)


def test_two_methods_of_one_name_are_one_line_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an installed distribution, as pip leaves one: metadata and entry points on the path."""
    info = tmp_path / "clash-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: clash\nVersion: 1.0\n")
    points = f"[{registry.ENTRY_POINTS}]\nakl = somewhere\ncache = somewhere\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    registry._found.cache_clear()
    try:
        with pytest.raises(ArkdError, match=r"'akl' exists twice: in baselines .* in clash"):
            registry.method_class("akl")
        with pytest.raises(ArkdError, match=r"'cache' .* a folder of the results has that name"):
            registry.method_class("cache")
        assert registry.method_class("arkd").summary
        assert set(registry.names()) - set(registry.plugins()) == {"akl", "cache"}
    finally:
        registry._found.cache_clear()


def test_listing_methods_and_suites_imports_no_heavy_library() -> None:
    code = (
        "import sys; from arkd.cli import main as cli; "
        "cli.main(['list']); cli.main(['list', 'suites']);"
        "from arkd.suite import folders, jobs; "
        "t = folders.tree('longtail'); jobs.collect_inputs(t);"
        "[jobs.fingerprint(t.suite, 'distill', t.suite.pairs[0].name, e.label)"
        " for e in t.suite.entries];"
        "bad = {'torch', 'transformers', 'pandas', 'datasets', 'scipy'} & set(sys.modules);"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2606.29869" in done.stdout
