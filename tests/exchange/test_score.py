"""A student trained elsewhere is measured as the suite's own; what is not one is refused."""

from __future__ import annotations

import csv
import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from safetensors.torch import load_file, save_file

from arkd.cli.main import main
from arkd.errors import ArkdError
from arkd.exchange import foreign
from arkd.exchange.declared import Declared
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite
from arkd.suite.trees import trees

Values = dict[tuple[str, ...], str]


def arkd(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "arkd", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def called(*words: str | Path) -> int:
    """Call the command in this process, which has torch loaded already."""
    return main([*map(str, words)])


def values(path: Path) -> Values:
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    keys = ("pair", "seed", "decode_seed", "task", "metric", "group")
    return {tuple(row[key] for key in keys): row["value"] for row in rows}


@pytest.fixture(scope="module")
def results(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a whole run, which students are measured beside."""
    folder = tmp_path_factory.mktemp("scored")
    shutil.copytree(smoke / "smoke", folder / "smoke")
    return folder


@pytest.fixture
def student(smoke: Path, tmp_path: Path) -> Path:
    """A folder as another library leaves it: the suite's own student, nothing beside it."""
    folder = tmp_path / "student"
    shutil.copytree(smoke / "smoke" / "fixture" / "arkd" / "seed1" / "training" / "model", folder)
    return folder


def test_the_suites_own_student_gets_its_own_numbers(
    student: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The evaluation of the run and that of the foreign folder are one."""
    before = (results / "smoke" / "records.csv").read_bytes()
    said = ("--declare", "processor_s=1.5", "prefixes=gold", "software=other 1.0")
    done = arkd("score", student, "--suite", "smoke", "--results", results, "--name", "back", *said)
    assert done.returncode == 0, done.stderr
    assert "arkd: measuring foreign:back, 1 seed" in done.stderr.splitlines()
    scored = results / "smoke" / "foreign" / "back" / "fixture"
    own = results / "smoke" / "fixture" / "arkd" / "evaluation"
    assert values(scored / "evaluation" / "records.csv") == values(own / "records.csv")
    with (scored / "evaluation" / "records.csv").open(newline="") as lines:
        assert {row["method"] for row in csv.DictReader(lines)} == {"foreign:back"}
    notes = json.loads((scored / "seed1" / "training" / "manifest.json").read_text())["notes"]
    assert notes["declared"] == {"processor_s": 1.5, "prefixes": "gold", "software": "other 1.0"}
    assert notes["as_the_suites_students"] is True
    assert (results / "smoke" / "records.csv").read_bytes() == before
    rows = ("--methods", "arkd", "foreign:back", "--format", "csv")
    assert called("compare", results / "smoke", scored / "evaluation", *rows) == 0
    lines = capsys.readouterr().out.splitlines()
    differences = [row["difference"] for row in csv.DictReader(lines)]
    assert differences
    assert set(differences) == {"0"}
    assert called("verify", results / "smoke") == 0
    assert called("collect", "--suite", "smoke", "--results", results) == 0
    assert (results / "smoke" / "records.csv").read_bytes() == before


def test_rows_of_padding_in_the_head_change_nothing(student: Path, results: Path) -> None:
    """Other libraries pad the vocabulary; what is never to come takes no probability from it."""
    tensors = load_file(student / "model.safetensors")
    key = "model.embed_tokens.weight"
    rows, width = tensors[key].shape
    tensors[key] = torch.cat([tensors[key], torch.zeros(8, width)])
    save_file(tensors, student / "model.safetensors", {"format": "pt"})
    config = json.loads((student / "config.json").read_text())
    (student / "config.json").write_text(json.dumps(config | {"vocab_size": rows + 8}))
    given = ("--suite", "smoke", "--results", results, "--name", "padded")
    assert called("score", student, *given) == 0


@pytest.mark.heavy  # two evaluations
def test_scoring_again_says_what_is_no_longer_declared(student: Path, results: Path) -> None:
    """What was declared of another student of that name need not hold for this one."""
    given = ("score", student, "--suite", "smoke", "--results", results, "--name", "again")
    first = arkd(*given, "--declare", "steps=3", "tokens=9")
    assert first.returncode == 0, first.stderr
    assert "declared" not in first.stderr
    done = arkd(*given, "--declare", "tokens=9")
    assert done.returncode == 0, done.stderr
    assert "arkd: no longer declared of foreign:again: steps" in done.stderr.splitlines()


def other_vocabulary(folder: Path) -> str:
    path = folder / "tokenizer.json"
    rules = json.loads(path.read_text())
    vocabulary = rules["model"]["vocab"]
    one, other = sorted(vocabulary, key=vocabulary.get)[-2:]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    path.write_text(json.dumps(rules))
    return "tokens differ"


def no_tokenizer(folder: Path) -> str:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    return "no tokenizer that can be read"


def missing_weights(folder: Path) -> str:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return "1 missing keys, the first model.layers.0.mlp.up_proj.weight"


def pickles(folder: Path) -> str:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return "pytorch_model.bin is a pickle"


def adapter(folder: Path) -> str:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    return "an adapter alone"


def adapter_beside(folder: Path) -> str:
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere"}')
    return "an adapter beside a model"


def weights_under_another_name(folder: Path) -> str:
    torch.save(load_file(folder / "model.safetensors"), folder / "adapter_model.bin")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] = {"transformers_weights": "adapter_model.bin"}
    (folder / "config.json").write_text(json.dumps(config))
    return "transformers_weights: weights are read from the model*.safetensors of this folder alone"


def weights_of_another_folder(folder: Path) -> str:
    tensors = load_file(folder / "model.safetensors")
    shutil.copy(folder / "model.safetensors", folder.parent / "outside.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, "../outside.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return "weight_map: '../outside.safetensors' is no file of this folder"


def attention_of_the_hub(folder: Path) -> str:
    config = json.loads((folder / "config.json").read_text())
    config["_attn_implementation"] = "kernels-community/flash-attn3"
    (folder / "config.json").write_text(json.dumps(config))
    return "'kernels-community/flash-attn3' is code of the hub"


LEADS_ELSEWHERE = [
    adapter_beside,
    weights_under_another_name,
    weights_of_another_folder,
    attention_of_the_hub,
]


def own_code(folder: Path) -> str:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModelForCausalLM": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    return "not a readable Hugging Face model"


def not_finite(folder: Path) -> str:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] = torch.nan
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return "NaN or infinite"


@pytest.mark.parametrize(
    "damage",
    [
        *(other_vocabulary, no_tokenizer, missing_weights, pickles, adapter, own_code, not_finite),
        *LEADS_ELSEWHERE,
    ],
)
def test_what_is_no_student_of_the_suite_is_refused_in_one_line(
    damage: Callable[[Path], str],
    student: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = damage(student)
    given = ("--suite", "smoke", "--results", results, "--name", "refused")
    assert called("score", student, *given) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("arkd: error: ")
    assert said in last
    assert str(student) in last
    assert not (student / "ran").exists()
    assert not (results / "smoke" / "foreign" / "refused" / "fixture" / "evaluation").exists()


@pytest.mark.parametrize("damage", LEADS_ELSEWHERE)
def test_a_suite_s_model_may_not_lead_elsewhere_either(
    damage: Callable[[Path], str], student: Path, tmp_path: Path
) -> None:
    suite = tmp_path / "mine.yaml"
    model = "{source: folder, path: student}"
    pair = f"{{name: both, teacher: {model}, student: {model}}}"
    suite.write_text(f"extends: smoke\nname: mine\nversion: '1.0'\npairs: [{pair}]\n")
    trees(str(suite), "out")
    with pytest.raises(ArkdError, match=re.escape(damage(student))):
        trees(str(suite), "out")


def test_a_task_that_came_with_the_data_and_names_code_is_not_run(
    student: Path, smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """lm-eval imports what `!function` names; a folder of data is often another person's."""
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    tasks, ran = tmp_path / "smoke" / "data" / "tasks", tmp_path / "ran"
    tasks.mkdir()
    (tasks / "evil.py").write_text(f"open({str(ran)!r}, 'w')\ndef rows(docs):\n    return docs\n")
    text = "task: longtail_id\nprocess_docs: !function evil.rows\n"
    (tasks / "longtail_id.yaml").write_text(text)
    of_smoke = ("--suite", "smoke", "--results", tmp_path)
    for command in (
        ("score", student, *of_smoke, "--name", "mine"),
        ("evaluate", *of_smoke, "--pair", "fixture", "--method", "arkd"),
    ):
        assert called(*command) == 2
        assert "not as `arkd data` writes it, and lm-eval would run code" in capsys.readouterr().err
    assert not ran.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seeds", "7"), "7 is no training seed of the suite"),
        (("--seeds", "1", "1"), "1 students, and 2 seeds"),
        (("--name", "../up"), "no name of a folder"),
        (("--declare", "processor_s"), "KEY=VALUE is wanted"),
        (("--declare", "processors=3"), "did you mean 'processor_s'"),
        (("--declare", "processor_s=-1"), "greater than or equal to 0"),
        (("--declare", "prefixes=mine"), "prefixes"),
    ],
)
def test_what_is_said_of_it_is_checked_first(
    words: tuple[str, ...],
    said: str,
    student: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert called("score", student, "--suite", "smoke", "--results", results, *words) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert len(shown.strip().splitlines()) == 1


def test_without_a_run_the_command_that_makes_one_is_named(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("score", student, "--suite", "smoke", "--results", tmp_path) == 2
    shown = capsys.readouterr().err
    assert "cache/prefixes/manifest.json" in shown
    assert len(shown.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decoding": {"max_new_tokens": 23}}, "measured with other decoding than"),
        ({"version": "1.1"}, "measured by version 1.1 of the suite, and"),
    ],
)
def test_a_suite_that_was_edited_since_the_run_measures_nothing(
    changes: dict[str, Any], said: str, student: Path, results: Path
) -> None:
    """Its numbers would stand beside others that were measured otherwise."""
    suite = load_suite("smoke")
    decoding = suite.decoding.model_copy(update=changes.get("decoding", {}))
    edited = Tree(results, suite.model_copy(update=changes | {"decoding": decoding}), "mine.yaml")
    score = inspect.unwrap(foreign.score)  # without the libraries that would measure
    with pytest.raises(ArkdError, match=f"suite mine.yaml: {said} .*; name it as it was run"):
        score(edited, "fixture", "foreign:edited", {1: student}, Declared())
    assert not (results / "smoke" / "foreign" / "edited").exists()


def test_one_student_is_not_scored_as_two(student: Path, tmp_path: Path) -> None:
    again = shutil.copytree(student, tmp_path / "again")
    with pytest.raises(ArkdError, match=f"{again}: the same weights as {student}"):
        foreign.check_distinct({1: student, 2: again})
    other = Path(shutil.copytree(student, tmp_path / "other")) / "model.safetensors"
    content = bytearray(other.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    foreign.check_distinct({1: student, 2: other.parent})
