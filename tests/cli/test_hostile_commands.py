"""Commands as an unlucky user types them: one line, an exit code, and the disk as it was."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from arkd.cli import main as cli
from arkd.errors import ArkdError
from arkd.loss_audit import probe, targets
from arkd.storage.files import staged_dir
from arkd.suite.load import suite_path

LONG, NOBODY = "a" * 5000, "~nobody-here/x"
SMOKE = yaml.safe_load(suite_path("smoke").read_text(encoding="utf-8")) | {"name": "mine"}
HUB = {"source": "hub", "repo": "a/b", "revision": "0" * 40}
GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 300}
LLAMA: dict[str, Any] = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2}
LLAMA |= {"num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 300}
LLAMA |= {"max_position_embeddings": 512}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pair(**models: Any) -> dict[str, Any]:
    return SMOKE | {"pairs": [SMOKE["pairs"][0] | models]}


def files() -> dict[Path, bytes]:
    """Return what lies in the working folder."""
    found = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    return {path: content for path, content in found.items() if path.suffix != ".lock"}


def refused(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """Call a command, and return the one line that it ends in."""
    before = files()
    assert cli.main(words) == code
    told = capsys.readouterr().err
    assert told.startswith("arkd: error: ")
    assert told.count("\n") == 1
    assert len(told) < 800
    assert files() == before
    return told


PATHS = {  # a path that the system refuses, wherever it is typed
    "plan": "plan {}.yaml",
    "status": "status {}.yaml",
    "fetch": "fetch {}.yaml",
    "cite": "cite --licences {}.yaml",
    "data": "data --suite {}.yaml",
    "add": "add sft --to {}.yaml",
    "data into it": "data --suite smoke --results {}",
    "tables of it": "tables --suite smoke --results {}",
    "pack into it": "pack --check {}",
    "score of it": "score {} --suite smoke",
    "submit of it": "submit --check {}.tar.gz",
    "a form there": "submit --new {}",
    "a suite there": "new-suite mine --out {}.yaml",
    "a loss there": "audit {}.py:loss",
    "an adapter there": "audit --new {}.py",
    "compare": "compare {} {}",
    "merge": "merge out {} {}",
    "verify": "verify {}",
}


@pytest.mark.parametrize("path", [LONG, "file/x"], ids=["long", "a file's child"])
@pytest.mark.parametrize("command", PATHS.values(), ids=PATHS.keys())
def test_a_path_that_the_system_refuses_is_one_line(
    command: str, path: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "file").write_text("x")
    told = refused(command.format(path, path).split(), capsys)
    assert path[:4] in told
    assert "File exists" not in told


HOMES = {
    "a suite's teacher": pair(teacher={"source": "folder", "path": NOBODY}),
    "its training file": SMOKE
    | {"data": {"source": "files", "train": NOBODY, "tests": {"t": "t"}}, "test_sets": ["t"]}
    | {"open_tasks": [], "choice_tasks": [], "perplexity_task": None},
}


@pytest.mark.parametrize("suite", HOMES.values(), ids=HOMES.keys())
def test_a_home_of_nobody_is_one_line(
    suite: dict[str, Any], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine.yaml").write_text(yaml.safe_dump(suite))
    assert f"{NOBODY}: there is no home of that name" in refused(["plan", "mine.yaml"], capsys)


def test_a_home_of_nobody_in_an_option_or_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert NOBODY in refused(["new-suite", "mine", "--out", f"{NOBODY}.yaml"], capsys)
    monkeypatch.setenv("ARKD_CACHE", NOBODY)
    assert NOBODY in refused(["data", "--suite", "smollm2-quick"], capsys)


ENDLESS = {
    "a suite": ["plan", "z.yaml"],
    "what a suite extends": ["plan", "mine.yaml"],
    "a form": ["submit", "run", "--form", "z.yaml"],
    "a configuration": ["plan", "hub.yaml", "--config", "a/b=z.yaml"],
    "an archive": ["submit", "--check", "z.tar.gz"],
}


@pytest.mark.parametrize("kind", ["a device", "a pipe"])
@pytest.mark.parametrize("words", ENDLESS.values(), ids=ENDLESS.keys())
def test_what_has_no_end_is_not_read(
    words: list[str], kind: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("z.yaml", "z.tar.gz"):
        if kind == "a pipe":
            os.mkfifo(here / name)
        else:
            (here / name).symlink_to("/dev/zero")
    (here / "mine.yaml").write_text("extends: z.yaml\nname: mine\n")
    (here / "hub.yaml").write_text(yaml.safe_dump(pair(teacher=HUB)))
    assert next(word for word in (*words, "z.yaml") if "z." in word)[-6:] in refused(words, capsys)


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "a width of text": (GPT2 | {"n_embd": "x"}, "n_embd: a whole number above 0"),
    "a width of null": (GPT2 | {"n_embd": None}, "n_embd: a whole number above 0"),
    "a width of a list": (GPT2 | {"n_embd": [32]}, "n_embd: a whole number above 0"),
    "no heads": (GPT2 | {"n_head": 0}, "n_head: a whole number above 0"),
    "heads below 0": (LLAMA | {"num_attention_heads": -2}, "num_attention_heads"),
    "10**30 layers": (LLAMA | {"num_hidden_layers": 10**30}, "num_hidden_layers"),
    "layers of true": (LLAMA | {"num_hidden_layers": True}, "num_hidden_layers"),
    "a size that is missing": ({"model_type": "gpt2"}, "has no 'n_embd'"),
    "a context of text": (LLAMA | {"max_position_embeddings": "long"}, "max_position_embeddings"),
    "a context without end": (LLAMA | {"max_position_embeddings": float("inf")}, "max_position"),
    "a context of 0": (GPT2 | {"n_positions": 0}, "n_positions"),
    "a text_config of a list": (LLAMA | {"text_config": [1]}, "text_config: a mapping is wanted"),
}


@pytest.mark.parametrize(("config", "said"), CONFIGS.values(), ids=CONFIGS.keys())
def test_a_configuration_that_cannot_be_is_named_with_its_key(
    config: dict[str, Any], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "hub.yaml").write_text(yaml.safe_dump(pair(teacher=HUB)))
    (here / "c.json").write_text(json.dumps(config))
    told = refused(["plan", "hub.yaml", "--config", "a/b=c.json"], capsys)
    assert "pairs.fixture.teacher (a/b): " in told
    assert said in told


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e308"])
@pytest.mark.parametrize("option", ["--prompt-tokens", "--response-tokens"])
def test_a_length_that_cannot_be_is_refused(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{option}: must be above 0" in refused(["plan", "smoke", option, value], capsys)


@pytest.mark.parametrize("value", ["0", "-1"])
@pytest.mark.parametrize("option", ["--repeats", "--threads"])
def test_a_measurement_of_less_than_one_is_refused(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{option}: must be at least 1, found {value}" in refused(
        ["perf", option, value], capsys
    )


@pytest.mark.parametrize("value", ["0", "-1", "x", "", "1.5", "9" * 5000])
@pytest.mark.parametrize("command", ["run smoke", "run smoke --dry-run", "add sft --to smoke"])
def test_a_number_of_cores_that_cannot_be_is_refused(
    command: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused([*command.split(), f"--cores={value}"], capsys)
    assert f"--cores: must be all or at least 1, found {value:.100}" in told


STAGES = ("init", "distill --method arkd", "cache --source student")


@pytest.mark.parametrize("seed", ["9", "-1", "99999999999999999999999"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_seed_that_is_not_the_suites_is_refused(
    stage: str, seed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*stage.split(), "--suite", "smoke", "--pair", "fixture", "--seed", seed]
    assert f"--seed: {seed} is no training seed of the suite: 1" in refused(words, capsys)


STAGES_OF_A_WORLD = ("data", "tokens --pair fixture", "init --pair fixture --seed 1")


@pytest.mark.parametrize("stage", STAGES_OF_A_WORLD)
def test_what_each_world_has_is_not_made_of_several(
    stage: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "w.yaml").write_text("extends: smoke\nname: w\nworlds: [11, 12]\n")
    told = refused([*stage.split(), "--suite", "w.yaml"], capsys)
    assert "2 worlds, each with its own data, teacher and runs; name one of them, such as" in told


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", ""])
def test_the_name_of_further_rows_is_no_path(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(["add", "sft", "--to", "smoke", "--name", name], capsys)
    assert "a suite's name is wanted" in told
    assert not list(here.parent.glob("up.yaml"))


def test_the_name_of_further_rows_that_have_one_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = here / "plus.yaml"
    path.write_text("beside: smoke\nname: plus\nmethods: [{name: sft}]\n")
    before = path.read_bytes()
    told = refused(["add", "seqkd", "--to", "plus.yaml", "--name", "other"], capsys)
    assert "add: --name other: plus.yaml has a name, plus" in told
    assert path.read_bytes() == before


@pytest.mark.parametrize("words", [["new-suite"], ["add", "sft", "--to", "smoke", "--name"]])
def test_a_name_that_no_suite_may_have_is_refused_at_once(
    words: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the file's own check would refuse it, once it is written."""
    assert "at most 100" in refused([*words, "a" * 101], capsys)
    assert not [*here.iterdir()]


LOSSES = {
    "ends the process": ("import sys\nsys.exit(0)\n", "cannot be loaded: SystemExit: 0"),
    "loops": ("while True: pass\n", "cannot be loaded: not done after 0.2 s"),
    "needs what nobody names": ("raise ModuleNotFoundError('x')\n", "ModuleNotFoundError: x"),
    "ends it when it is called": ("def loss(student, teacher): raise SystemExit\n", "SystemExit"),
    "loops when it is called": (
        "def loss(student, teacher):\n    while True: pass\n", "was not done after 0.2 s"
    ),
    "ends it when it is made": (
        "class loss:\n    def __init__(self): raise SystemExit\n", "cannot be made: SystemExit"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "said"), LOSSES.values(), ids=LOSSES.keys())
def test_a_loss_that_ends_or_never_ends_is_one_line(
    code: str,
    said: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (here / "x.py").write_text(code)
    if "while True" in code:  # on a busy machine the others may take long
        waits = targets if code.startswith("while") else probe
        monkeypatch.setattr(waits, "LIMIT_S", 0.2)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    told = refused(["audit", "x.py:loss"], capsys)
    assert said in told
    assert "x.py:loss: " in told


def test_what_tells_no_parameters_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not tell its parameters" in refused(["audit", "builtins:max"], capsys)


def test_sums_of_somebody_else_are_not_written_anew(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "isos").mkdir()
    (here / "isos" / "SHA256SUMS").write_text(f"{'0' * 64}  debian.iso\n")
    (here / "isos" / "debian.iso").write_text("changed")
    told = refused(["verify", "--write", "isos"], capsys)
    assert "isos: no suite's folder" in told


@pytest.mark.parametrize("out", [".", "..", "x/.."])
def test_a_folder_that_is_replaced_has_a_name(
    out: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "x").mkdir()
    staged = staged_dir(Path(out), "a pack")
    with pytest.raises(ArkdError, match="has a folder of its own; give it a name"):
        staged.__enter__()
    assert [path.name for path in here.iterdir()] == ["x"]


def raising(error: BaseException) -> Callable[..., None]:
    def command(*_: Any) -> None:
        raise error

    return command


SYSTEM = {
    "a name": (OSError(errno.ELOOP, "Too many links", "a/b"), "a/b: Too many links"),
    "a name with a line break": (OSError(errno.EIO, "I/O error", "a\nb"), "a b: I/O error"),
    "a full disk": (OSError(errno.ENOSPC, "No space left"), "a file or the output: No space left"),
    "a disk that breaks": (OSError(errno.EIO, "I/O error"), "a file or the output: I/O error"),
}


@pytest.mark.parametrize(("error", "said"), SYSTEM.values(), ids=SYSTEM.keys())
def test_what_the_system_says_of_a_file_is_one_line(
    error: OSError,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("arkd.cli.commands.fetch", raising(error))
    assert cli.main(["fetch", "smoke"]) == 2
    assert capsys.readouterr().err == f"arkd: error: {said}\n"


def test_an_error_of_the_system_that_names_nothing_is_a_fault_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("arkd.cli.commands.fetch", raising(OSError("odd")))
    with pytest.raises(OSError, match="odd"):
        cli.main(["fetch", "smoke"])
