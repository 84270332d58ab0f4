"""A user's own suite: his files become data, his models a pair, and the tables are the same."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import own_files as example
import pandas as pd
import pytest
import yaml
from conftest import ROOT

from arkd.cli import main as cli
from arkd.cli import new_suite as suite_scaffold
from arkd.data.files import source as own_files
from arkd.data.files.spec import FilesSpec
from arkd.errors import ArkdError
from arkd.storage.files import read_json, read_jsonl, sha256_file
from arkd.suite.folders import tree
from arkd.suite.jobs import data_inputs
from arkd.suite.load import load_suite
from arkd.suite.protocol import Distillation, Selection
from arkd.suite.settings import Decoding, Lora, Pair, TailSettings, Training
from arkd.suite.suite import Suite
from arkd.suite.trees import trees

Row = dict[str, Any]
ROW = {"prompt": "Q?", "response": " A."}


def build(folder: Path, trained: list[Any], tested: list[Any], **settings: Any) -> tuple[Path, Row]:
    """Build the data of two files and return their folder and the summary."""
    example.write_lines(folder / "train.jsonl", trained)
    example.write_lines(folder / "test.jsonl", tested)
    given = {"train": "train.jsonl", "tests": {"own": "test.jsonl"}, "dev_examples": 1}
    spec = FilesSpec.model_validate({"source": "files", **given, **settings})
    return folder / "out", own_files.build(spec.placed(lambda path: folder / path), folder / "out")


def numbered(count: int, **more: Any) -> list[Row]:
    return [{"prompt": f"Q{n}?", "response": f" A{n}.", **more} for n in range(count)]


# --- the data ------------------------------------------------------------------------------------


def test_rows_are_written_as_they_are_given(tmp_path: Path) -> None:
    test = {"prompt": " Ä?\n", "references": ["one", "two"], "band": "tail", "kind": "k", "x": 1}
    out, summary = build(tmp_path, numbered(3), [test])
    assert read_jsonl(out / "test_own.jsonl") == [
        {
            "id": 0,
            "prompt": " Ä?\n",
            "response": "one",
            "references": ["one", "two"],
            "band": "tail",
            "kind": "k",
        }
    ]
    plain = {"band": "none", "kind": "none"}
    dealt = [read_jsonl(out / f"{name}.jsonl") for name in ("train", "dev")]
    assert [row["id"] for row in dealt[0]] == [0, 1]
    rows = [{k: v for k, v in row.items() if k != "id"} for rows in dealt for row in rows]
    assert sorted(rows, key=str) == sorted(numbered(3, **plain), key=str)
    assert summary["rows"] == {"train": 2, "dev": 1, "test_own": 1}
    assert summary["sources"]["train"]["sha256"] == sha256_file(tmp_path / "train.jsonl")


def test_an_instruction_becomes_a_prompt_by_the_template(tmp_path: Path) -> None:
    row = {"instruction": "Name it.", "input": "{x}", "output": "Fine."}
    out, _ = build(tmp_path, numbered(2), [row], template="plain")
    (made,) = read_jsonl(out / "test_own.jsonl")
    assert made["prompt"] == "Name it.\n\n{x}\n\n"
    assert made["response"] == "Fine."
    assert made["references"] == ["Fine."]


UNREAD: dict[str, tuple[Row, str]] = {
    "a system prompt": ({"system": "Be brief."}, "system"),
    "what was said before": ({"history": [["a", "b"]]}, "history"),
    "instances of Self-Instruct": ({"instances": [{"input": "a", "output": "b"}]}, "instances"),
    "an input without an instruction": ({"input": "a"}, "input"),
    "a context without an instruction": ({"context": "a"}, "context"),
    "an input and a context": ({"instruction": "a", "input": "b", "context": "c"}, "context"),
    "a second answer": ({"output": "b"}, "output"),
}


@pytest.mark.parametrize(("beside", "key"), UNREAD.values(), ids=UNREAD.keys())
def test_what_would_be_lost_is_refused_unless_it_is_listed(
    beside: Row, key: str, tmp_path: Path
) -> None:
    with pytest.raises(ArkdError, match=rf"train\.jsonl:3: {key}: would not be read") as caught:
        build(tmp_path, [*numbered(2), ROW | beside], [ROW])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    out, _ = build(tmp_path, [*numbered(2), ROW | beside], [ROW], ignore=[key], dev="test.jsonl")
    assert len(read_jsonl(out / "train.jsonl")) == 3


def test_an_empty_key_holds_nothing_and_a_context_is_an_input(tmp_path: Path) -> None:
    empty: Row = {"system": "", "history": [], "input": ""}
    row = {"instruction": "Name it.", "context": "{x}", "response": "Fine."}
    out, _ = build(tmp_path, [ROW | empty] * 2, [row], template="plain")
    assert [row["prompt"] for row in read_jsonl(out / "test_own.jsonl")] == ["Name it.\n\n{x}\n\n"]


def test_a_separator_is_put_where_it_is_missing(tmp_path: Path) -> None:
    rows = [{"prompt": "Q", "response": "a", "references": ["b", " c"]}]
    out, _ = build(tmp_path, numbered(2), rows, separator=" ")
    (made,) = read_jsonl(out / "test_own.jsonl")
    assert (made["response"], made["references"]) == (" a", [" b", " c"])


def test_prompts_that_training_has_are_counted_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    _, summary = build(tmp_path, numbered(4), numbered(5), dev="test.jsonl")
    assert summary["prompts_shared_with_training"] == {"dev": 4, "test_own": 4}
    assert "test_own: 4 of 5 prompts also stand in training" in capsys.readouterr().err


def test_rows_without_references_are_counted_and_said(tmp_path: Path) -> None:
    rows = [{"prompt": "a"}, {"prompt": "b", "references": []}, {"prompt": "c", "response": "d"}]
    out, summary = build(tmp_path, numbered(2), rows)
    made = read_jsonl(out / "test_own.jsonl")
    assert [row["references"] for row in made] == [[], [], ["d"]]
    assert [row["response"] for row in made] == ["", "", "d"]
    assert summary["rows_without_references"] == {"test_own": 2}
    assert "data: test_own: 2 of 3 rows have no references" in summary["warnings"][0]


def test_a_draw_keeps_the_order_and_depends_on_the_seed_alone(tmp_path: Path) -> None:
    def drawn(seed: int) -> list[str]:
        out, _ = build(tmp_path, numbered(9), [ROW], max_rows=5, data_seed=seed)
        return [row["prompt"] for row in read_jsonl(out / "train.jsonl")]

    first = drawn(1)
    assert len(first) == 4
    assert first == sorted(first)
    assert drawn(1) == first
    assert len({tuple(drawn(seed)) for seed in range(5)}) > 1


def test_plain_text_becomes_the_corpus(tmp_path: Path) -> None:
    example.write_lines(tmp_path / "text.jsonl", [{"text": "One."}, {"text": "Two."}])
    out, summary = build(tmp_path, numbered(2), [ROW], corpus={"path": "text.jsonl"})
    assert read_jsonl(out / "corpus.jsonl") == [
        {"id": 0, "text": "One."},
        {"id": 1, "text": "Two."},
    ]
    assert summary["sources"]["corpus"] == {"sha256": sha256_file(tmp_path / "text.jsonl")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"prompt": "a"', "not valid JSON"),
        (b"[1]", "an object with keys is wanted"),
        (b'{"prompt": "\xff", "response": "b"}', "not UTF-8"),
        (b'{"prompt": "\\ud800", "response": "b"}', "not UTF-8"),
        (b'{"response": "b"}', "no 'prompt'"),
        (b'{"promt": "a", "response": "b"}', "no 'prompt' (is 'promt' meant for it?)"),
        (b'{"prompt": "  ", "response": "b"}', "prompt: must not be empty"),
        (b'{"prompt": 3, "response": "b"}', "prompt: text is wanted, not 3"),
        (b'{"prompt": "a"}', "no 'response'"),
        (b'{"prompt": "a", "response": ""}', "response: must not be empty"),
        (b'{"prompt": "a", "response": "b", "band": "rare"}', "band: head, torso, tail or none"),
        (b'{"prompt": "a", "response": "b", "references": "b"}', "references: a list of texts"),
    ],
)
def test_a_wrong_line_is_named_by_file_and_number(
    tmp_path: Path, line: bytes, message: str
) -> None:
    path = example.write_lines(tmp_path / "wrong.jsonl", [ROW])
    path.write_bytes(path.read_bytes() + b"\n" + line + b"\n")
    with pytest.raises(ArkdError) as caught:
        build(tmp_path, [ROW], [ROW], train="wrong.jsonl")
    assert str(caught.value).startswith(f"{path}:3: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": "absent.jsonl"}, "absent.jsonl: no such file"),
        ({"train": "empty.jsonl"}, "empty.jsonl: no rows; data.train needs one"),
        ({"tests": {"own": "empty.jsonl"}}, "empty.jsonl: no rows; data.tests.own needs one"),
        ({"tests": {"own": "asked.jsonl"}}, "asked.jsonl: no row has an answer"),
        ({"dev_examples": 2}, "train.jsonl: 2 rows, and data.dev_examples splits 2 off"),
    ],
)
def test_a_file_that_will_not_do_is_one_line(tmp_path: Path, settings: Row, message: str) -> None:
    example.write_lines(tmp_path / "empty.jsonl", [])
    example.write_lines(tmp_path / "asked.jsonl", [{"prompt": "a"}])
    with pytest.raises(ArkdError, match=re.escape(message)):
        build(tmp_path, numbered(2), [ROW], **settings)


# --- the suite -----------------------------------------------------------------------------------


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a new suite, unchanged, in the working folder."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new-suite", "mine"]) == 0
    return tmp_path / "mine.yaml"


def test_a_new_suite_loads_unchanged(suite: Path) -> None:
    read = load_suite(str(suite))
    assert read.name == "mine"
    assert read.test_sets == ("test",)
    assert read.data.source == "files"
    assert {read.pairs[0].teacher.source, read.pairs[0].student.source} == {"folder"}


def test_every_key_that_is_shown_may_be_set(suite: Path) -> None:
    """Each line that is commented out is a valid setting at its value, alone or with its like."""
    lines = suite.read_text().splitlines()
    shown = [line for line in lines if re.match(r" *# [a-z_]+: ", line)]
    assert len(shown) > 30
    (training,) = (line for line in shown if "teacher_training: " in line)
    for line in shown:
        wanted = [line, training] if "teacher: {source: scratch" in line else [line]
        text = "\n".join(own.replace("# ", "", 1) if own in wanted else own for own in lines)
        if line.strip().startswith("# steps:"):  # in the place of epochs
            text = re.sub(r"^  epochs: .*$", "", text, flags=re.M)
        text = text.replace("owner/name", "o/n").replace("40-digit commit", 40 * "a")
        suite.write_text(yaml.safe_dump(yaml.safe_load(text)))  # the last of a key that is twice
        load_suite(str(suite))


def test_every_setting_is_shown(suite: Path) -> None:
    """But those that own files have no use for, and the version of the registered claims."""
    models = (Suite, FilesSpec, Pair, Lora, Distillation, Selection, Training, Decoding)
    keys = {key for model in (*models, TailSettings) for key in model.model_fields}
    left_out = {"open_tasks", "choice_tasks", "perplexity_task", "published", "tuning"}
    left_out |= {"worlds", "claims"}
    told = set(re.findall(r"([a-z_0-9]+):", suite.read_text()))
    assert keys - told == left_out


def test_paths_are_written_from_the_suites_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = "new-suite 2026 --out suites/a.yaml --train t.jsonl --test suites/b.jsonl"
    words += (
        " --test c=/abs/c.jsonl --dev ../d.jsonl --corpus e.jsonl --teacher big --student ./small"
    )
    assert cli.main(shlex.split(words)) == 0
    read = load_suite("suites/a.yaml")
    assert read.name == "2026"
    assert (read.data.train, read.data.dev) == ("../t.jsonl", "../../d.jsonl")
    assert read.data.tests == {"b": "b.jsonl", "c": "/abs/c.jsonl"}
    assert read.data.corpus.path == "../e.jsonl"
    assert (read.pairs[0].teacher.path, read.pairs[0].student.path) == ("../big", "../small")
    files = data_inputs(tree("suites/a.yaml"))
    assert files[0] == "suites/../t.jsonl"
    assert "/abs/c.jsonl" in files


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("mine", "mine.yaml: exists already"),
        ("../x", "cannot be a suite's name"),
        ("..", "cannot be a suite's name"),
        ("smoke", "there is a suite 'smoke' already"),
        ("other --out other.txt", "ends in .yaml"),
        ("other --test a.jsonl --test a=b.jsonl", "'a' stands twice"),
        ("other --test 1.jsonl", "give one, of letters"),
        ("other --test truth=a.jsonl", "the name 'truth' is taken"),
        ("other --test longtail_id=a.jsonl", "the name 'longtail_id' is taken"),
        ("other --test hellaswag.jsonl", "the name 'hellaswag' is taken"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    suite: Path, words: str, message: str, capsys: pytest.CaptureFixture
) -> None:
    capsys.readouterr()
    before = suite.read_text()
    assert cli.main(["new-suite", *words.split()]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1
    assert suite.read_text() == before
    assert list(suite.parent.iterdir()) == [suite]


def test_help_has_examples(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        cli.main(["new-suite", "--help"])
    assert "examples:\n  arkd new-suite mine " in capsys.readouterr().out


def changed(suite: Path, **changes: Any) -> str:
    """Change some of the suite's keys in its file and return its path."""
    suite.write_text(yaml.safe_dump(yaml.safe_load(suite.read_text()) | changes))
    return str(suite)


def test_what_is_not_there_is_named_with_its_key(suite: Path) -> None:
    def refused() -> str:
        with pytest.raises(ArkdError) as caught:
            trees(str(suite), "results")
        return str(caught.value)

    data = suite.parent / "data"  # in the working folder
    assert refused() == "suite mine: data.train: data/train.jsonl: no such file; correct the path"
    example.write_lines(data / "train.jsonl", [ROW])
    assert "data.tests.test: data/test.jsonl: no such file" in refused()
    example.write_lines(data / "test.jsonl", [ROW])
    assert "pairs.own.teacher: models/teacher: no Hugging Face" in refused()
    for role in ("teacher", "student"):
        example.write_lines(suite.parent / "models" / role / "config.json", [{}])
    assert trees(str(suite), "results")


def test_a_task_is_one_of_the_own_tests(suite: Path) -> None:
    with pytest.raises(ArkdError, match=r"no task 'tset' \(did you mean 'test'"):
        trees(changed(suite, test_sets=["tset"]), "results")
    with pytest.raises(ArkdError, match="no task 'longtail_mc_head'"):
        trees(changed(suite, test_sets=["test"], choice_tasks=["longtail_mc_head"]), "results")
    data = {"source": "files", "train": "t.jsonl", "tests": {"smollm2_use": "u.jsonl"}}
    with pytest.raises(ArkdError, match=r"data\.tests: the name 'smollm2_use' is taken"):
        trees(changed(suite, data=data, test_sets=["smollm2_use"], choice_tasks=[]), "results")


def test_what_the_command_says_next_can_be_typed(suite: Path) -> None:
    told = suite_scaffold.create("other", suite_scaffold.Given())
    for line in ("arkd run other.yaml", "snakemake --cores all --config suites='[other.yaml]'"):
        assert f"  {line}\n" in told + "\n"


# --- from the page's lines to the tables ---------------------------------------------------------

PAGE = (ROOT / "docs" / "own-suite.md").read_text(encoding="utf-8")
SHORT = {"steps": 6, "batch_size": 8, "lr": 1.0e-3}


def lines() -> list[str]:
    block = re.findall(r"```sh\n(.*?)```", PAGE, re.S)[0]  # from data to tables
    return block.splitlines()


def typed(line: str, here: Path) -> subprocess.CompletedProcess:
    """Run a line as a user in an activated environment does."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        shlex.split(line),
        cwd=here,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder after the page's lines, the suite's steps shortened after the first."""
    here = tmp_path_factory.mktemp("desk")
    example.write(here)
    first, *rest = lines()
    done = typed(first, here)
    assert done.returncode == 0, done.stderr
    suite = yaml.safe_load((here / "mine.yaml").read_text())
    suite |= {"methods": ["arkd"], "seeds": [1], "student_start": SHORT, "device": "cpu"}
    suite["distillation"] = {**SHORT, "lm_corpus": "corpus"}
    suite["decoding"] |= {"seeds": [1], "max_new_tokens": 8}
    suite["data"] |= {"dev_examples": 8, "corpus": {"path": "data/corpus.jsonl"}}
    (here / "mine.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    for line in rest:
        done = typed(line, here)
        assert done.returncode == 0, done.stdout + done.stderr
    return here


@pytest.mark.heavy  # two suites, run to their tables
def test_the_same_tables_come_out(desk: Path) -> None:
    root = desk / "results" / "mine"
    made = {path.stem for path in (root / "tables").glob("*.csv")}
    shown = {"summary", "table1", "table2", "alpha", "tail", "bins", "generation", "cost"}
    assert made >= shown
    assert (root / "report.html").is_file()
    summary = (root / "tables" / "summary.md").read_text()
    for row in ("teacher", "untrained", "init", "arkd"):
        assert f"| {row} | 1 |" in summary


@pytest.mark.heavy  # two suites, run to their tables
def test_a_test_without_references_is_described_and_not_scored(desk: Path) -> None:
    records = pd.read_csv(desk / "results" / "mine" / "records.csv")
    found = {task: set(of["metric"]) for task, of in records.groupby("task")}
    assert found["test"] == found["reworded"]
    assert found["test"] - found["open"] == {"rouge_l"}
    table = (desk / "results" / "mine" / "tables" / "table2.md").read_text()
    assert "'–' under open: no references to compare with." in table
    fidelity = set(records[records["task"] == "fidelity_gold"]["group"].dropna())
    assert fidelity >= {"test", "reworded", "head", "torso", "tail"}
    assert "open" not in fidelity


@pytest.mark.heavy  # two suites, run to their tables
def test_results_hold_hashes_of_the_files_and_no_place_of_this_machine(desk: Path) -> None:
    root = desk / "results" / "mine"
    notes = read_json(root / "data" / "manifest.json")["notes"]["summary"]
    assert notes["sources"]["test_open"]["sha256"] == sha256_file(desk / "data" / "open.jsonl")
    for path in (*root.rglob("manifest.json"), *(root / "tables").iterdir(), root / "report.html"):
        assert str(desk) not in path.read_text(encoding="utf-8"), path


@pytest.mark.heavy  # two suites, run to their tables
def test_another_data_file_makes_the_data_anew(desk: Path) -> None:
    dry = lines()[1]
    assert "Nothing to be done" in typed(dry, desk).stdout
    path = desk / "data" / "open.jsonl"
    text = path.read_text()
    try:
        path.write_text(text + json.dumps({"prompt": "Tell me more."}) + "\n")
        assert re.search(r"^data +1$", typed(dry, desk).stdout, re.M)
    finally:
        path.write_text(text)


@pytest.mark.heavy  # two suites, run to their tables
def test_snakemake_names_what_is_not_there_in_one_line(desk: Path) -> None:
    suite = desk / "lost.yaml"
    suite.write_text((desk / "mine.yaml").read_text().replace("data/open", "data/opne"))
    command = f"{sys.executable} -m snakemake -n --nolock --config 'suites=[{suite}]'"
    done = typed(f"{command} results={desk / 'lost'}", ROOT)
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if "arkd: error" in line]
    assert told == [
        f"arkd: error: suite mine: data.tests.open: {desk / 'data/opne.jsonl'}: no such file; "
        "correct the path"
    ]
    assert "Traceback" not in done.stderr
