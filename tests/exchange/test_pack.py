"""A pack holds the run's own bytes and nothing that runs; any change of it is noticed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from arkd.errors import ArkdError
from arkd.exchange import pack
from arkd.suite import folders


@pytest.fixture(scope="module")
def half(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run that got as far as the starts: nothing distilled, nothing measured."""
    results = tmp_path_factory.mktemp("half")
    for part in ("data", "fixture/tokens", "fixture/teacher/seed0", "fixture/init/seed1"):
        shutil.copytree(smoke / "smoke" / part, results / "smoke" / part)
    return results


@pytest.fixture(scope="module")
def packed(half: Path) -> Path:
    out = half / "packs" / "smoke"
    pack.write(folders.tree("smoke", half), out)
    return out


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({"steps": 250}, "prefixes=gold steps=250"),
        ({"steps": None, "epochs": 3}, "prefixes=gold"),
    ],
)
def test_the_page_of_a_pack_says_what_the_suite_says(
    schedule: dict[str, int | None], said: str, half: Path, tmp_path: Path
) -> None:
    """Its description as written, and no number of steps where there are epochs."""
    tree = folders.tree("smoke", half)
    described = "the ARKD paper's protocol, over GPT-2. It runs on one GPU"
    steps = tree.suite.distillation.model_copy(update=schedule)
    suite = tree.suite.model_copy(update={"description": described, "distillation": steps})
    text = pack._readme(replace(tree, suite=suite), {"fixture": [1]}, tmp_path)
    assert "\nThe ARKD paper's protocol, over GPT-2. It runs on one GPU.\n" in text
    (declared,) = [line.strip() for line in text.splitlines() if "--declare" in line]
    assert declared.endswith(said)


def test_what_is_trained_on_is_that_of_the_run(packed: Path, half: Path) -> None:
    run, model = half / "smoke", "training/model/model.safetensors"
    for name, origin in {
        "train/train.jsonl": "data/train.jsonl",
        "tests/truth.jsonl": "data/truth.jsonl",
        "fixture/tokens/train.safetensors": "fixture/tokens/train.safetensors",
        "fixture/teacher/model.safetensors": f"fixture/teacher/seed0/{model}",
        "fixture/starts/seed1/model.safetensors": f"fixture/init/seed1/{model}",
    }.items():
        assert (packed / name).read_bytes() == (run / origin).read_bytes(), name


def test_the_manifest_has_the_sum_of_every_file(packed: Path) -> None:
    sums = json.loads((packed / "manifest.json").read_text())["outputs"]
    found = {
        path.relative_to(packed).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in packed.rglob("*")
        if path.is_file() and path.name not in ("manifest.json", ".arkd")
    }
    assert sums == found
    assert {Path(name).suffix for name in sums} <= {
        ".safetensors",
        ".json",
        ".jsonl",
        ".md",
        ".yaml",
    }


def test_the_readme_names_files_that_are_there_and_the_protocol(packed: Path) -> None:
    text = (packed / "README.md").read_text()
    for name in ("train/train.jsonl", "train/dev.jsonl", "fixture/tokens/train.safetensors"):
        assert f"`{name}`" in text
        assert (packed / name).is_file()
    assert "steps: 20" in text
    assert "temperature: 2.0" in text


def changed(folder: Path) -> None:
    with (folder / "train" / "train.jsonl").open("a") as lines:
        lines.write("{}\n")


def lost(folder: Path) -> None:
    (folder / "fixture" / "teacher" / "config.json").unlink()


def added(folder: Path) -> None:
    (folder / "fixture" / "teacher" / "pytorch_model.bin").write_bytes(b"\x80\x04.")


@pytest.mark.parametrize(
    ("damage", "named"),
    [(changed, "train.jsonl"), (lost, "config.json"), (added, "pytorch_model.bin")],
)
def test_a_pack_that_is_not_whole_is_refused(
    damage: Callable[[Path], None], named: str, packed: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "pack"
    shutil.copytree(packed, copy)
    pack.check(copy)
    damage(copy)
    with pytest.raises(ArkdError, match=named):
        pack.check(copy)


def test_a_folder_of_a_run_is_no_pack(half: Path) -> None:
    with pytest.raises(ArkdError, match="no pack"):
        pack.check(half / "smoke" / "data")


def test_without_a_start_the_command_that_makes_one_is_named(half: Path, tmp_path: Path) -> None:
    shutil.copytree(half / "smoke", tmp_path / "smoke")
    shutil.rmtree(tmp_path / "smoke" / "fixture" / "init")
    with pytest.raises(ArkdError, match="arkd init --suite smoke --pair fixture --seed 1"):
        pack.write(folders.tree("smoke", tmp_path), tmp_path / "pack")


def test_text_of_the_teacher_alone_stays_behind(half: Path, tmp_path: Path) -> None:
    shutil.copytree(half / "smoke", tmp_path / "smoke")
    data = tmp_path / "smoke" / "data"
    (data / pack.TAUGHT).write_text("{}\n")
    made = json.loads((data / "manifest.json").read_text())
    made["outputs"][pack.TAUGHT] = hashlib.sha256(b"{}\n").hexdigest()
    (data / "manifest.json").write_text(json.dumps(made))
    pack.write(folders.tree("smoke", tmp_path), tmp_path / "pack")
    assert not list((tmp_path / "pack").rglob(pack.TAUGHT))
