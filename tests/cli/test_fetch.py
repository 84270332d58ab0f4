"""`arkd fetch`: a suite's models before its jobs, which may have no network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.cli.fetch import encoders
from arkd.metrics.bertscore import DEBERTA, MINILM
from arkd.storage.offline import OURS
from arkd.suite.load import load_suite

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SUITE = f"""
extends: smoke
name: given
pairs:
  - name: pair
    teacher: {{source: hub, repo: someone/big, revision: {COMMIT}}}
    student: {{source: scratch, hidden: 32, layers: 1, heads: 2, intermediate: 88}}
"""


def fetched(folder: Path, suite: str = SUITE) -> subprocess.CompletedProcess[str]:
    """Fetch the suite's models by a hub's cache in the folder, without a network."""
    (folder / "given.yaml").write_text(suite)
    env = {**os.environ, "HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}
    for name in ("HF_HUB_CACHE", OURS):  # what other tests leave would say that arkd went offline
        env.pop(name, None)
    command = [sys.executable, "-m", "arkd", "fetch", str(folder / "given.yaml")]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_a_model_that_is_here_is_told_and_one_that_is_not_is_named(tmp_path: Path) -> None:
    lacking = fetched(tmp_path)
    assert lacking.returncode == 2
    assert lacking.stderr.count("\n") == 1
    assert "someone/big@01234567" in lacking.stderr
    snapshot = tmp_path / "hub" / "hub" / "models--someone--big" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (snapshot / name).write_text("{}")
    found = fetched(tmp_path)
    assert (found.returncode, found.stdout) == (0, f"{snapshot}\n"), found.stderr


def in_the_hubs_cache(folder: Path, weights: str) -> Path:
    """Put the encoder where a library looks for a model that it knows by its name alone."""
    kept = folder / "hub" / "hub" / f"models--{DEBERTA.replace('/', '--')}"
    snapshot = kept / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(COMMIT)
    (snapshot / "config.json").write_text('{"model_type": "deberta", "vocab_size": 7}')
    for name in ("vocab.json", weights):
        (snapshot / name).write_text("{}")
    return snapshot


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_the_papers_encoder_is_told_where_the_metric_will_read_it(
    weights: str, tmp_path: Path
) -> None:
    """Without it the paper's own suite would end at its evaluation, on a node without a network."""
    suite = "extends: smoke\nname: given\nbertscore: deberta-xlarge-mnli\n"
    lacking = fetched(tmp_path, suite)
    assert (lacking.returncode, lacking.stderr.count("\n")) == (2, 1)
    assert DEBERTA in lacking.stderr
    snapshot = in_the_hubs_cache(tmp_path, weights)
    found = fetched(tmp_path, suite)
    assert (found.returncode, found.stdout) == (0, f"{snapshot}\n"), found.stderr
    code = (
        "from transformers import AutoConfig\n"
        f"print(AutoConfig.from_pretrained('{DEBERTA}').vocab_size)"
    )
    env = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    env.pop("HF_HUB_CACHE", None)
    read = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert read.stdout == "7\n"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("gpt2-dolly", [DEBERTA]),
        ("smoke", []),
        ("bertscore: minilm", [MINILM]),
        ("mauve: true", [MINILM]),
        ("bertscore: deberta-xlarge-mnli\nmauve: true", [MINILM, DEBERTA]),
    ],
)
def test_each_metric_names_the_encoder_it_reads(
    asked: str, expected: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(f"extends: smoke\nname: given\n{asked}\n")
    assert encoders(load_suite(str(path) if ":" in asked else asked)) == expected


@pytest.mark.parametrize("suite", ["smoke", "longtail"])
def test_a_suite_of_shipped_models_has_nothing_to_fetch(
    suite: str, capsys: pytest.CaptureFixture
) -> None:
    from arkd.cli.main import main

    assert main(["fetch", suite]) == 0
    assert capsys.readouterr().out == ""
