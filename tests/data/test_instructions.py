"""The paper's data from files in their authors' formats, against rows and counts made by hand."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import instruction_files
import pytest
from instruction_files import write_lines
from pydantic import ValidationError

from arkd.data.instructions import formats
from arkd.data.instructions.filters import Filters, sift
from arkd.data.instructions.formats import Item
from arkd.data.instructions.origins import SETS, Origins, Remote
from arkd.data.instructions.prompts import TEMPLATES, prompt
from arkd.data.instructions.source import InstructionsSpec, build
from arkd.errors import ArkdError
from arkd.storage import hub
from arkd.storage.files import read_jsonl

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEADER = (
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request.\n\n### Instruction:\n"
)
HEADER_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n### Instruction:\n"
)
TEN = "one two three four five six seven eight nine ten"


def dolly(
    number: int, answer: str = TEN, context: str = "", category: str = "qa"
) -> dict[str, str]:
    return {
        "instruction": f"Ask {number}.",
        "context": context,
        "response": answer,
        "category": category,
    }


class Made:
    """A folder of files, what was built from it, and the summary."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.data, self.out = folder / "own", folder / "out"
        self.options = {"data_dir": str(self.data), "dev_rows": 2, "test_rows": 3} | options
        self.data.mkdir(parents=True, exist_ok=True)

    def give(self, name: str, rows: list[dict[str, Any]]) -> Made:
        write_lines(self.data / f"{name}.jsonl", rows)
        return self

    def build(self) -> dict[str, Any]:
        return build(InstructionsSpec(**self.options), self.out)

    def rows(self, name: str) -> list[dict[str, Any]]:
        return read_jsonl(self.out / f"{name}.jsonl")


def of(tmp_path: Path, name: str, rows: list[dict[str, Any]], **options: Any) -> Made:
    """Build Dolly's least and one other set."""
    made = Made(tmp_path, sets=("dolly", name), **options)
    made.give("dolly", [dolly(number) for number in range(6)]).give(name, rows)
    made.summary = made.build()  # type: ignore[attr-defined]
    return made


# Templates.


def test_the_templates_are_the_published_ones() -> None:
    assert prompt("alpaca", "Do it.") == f"{HEADER}Do it.\n\n### Response:\n"
    assert (
        prompt("alpaca", "Do it.", "This.")
        == f"{HEADER_WITH_INPUT}Do it.\n\n### Input:\nThis.\n\n### Response:\n"
    )
    assert prompt("plain", "Do it.") == "Do it.\n\n"
    assert prompt("plain", "Do it.", "This.") == "Do it.\n\nThis.\n\n"
    assert set(TEMPLATES) == {"alpaca", "plain"}


def test_braces_of_an_instruction_stand_as_they_are() -> None:
    assert (
        prompt("plain", "Explain {input} and {x}.", "{y}") == "Explain {input} and {x}.\n\n{y}\n\n"
    )


# Formats.


def test_dolly_gives_rows_with_category_and_context(tmp_path: Path) -> None:
    made = Made(tmp_path, sets=("dolly",), dev_rows=1, test_rows=1, protocol="minillm")
    rows = [dolly(0), dolly(1, f" {TEN}.\n", "Given.\n", "closed_qa"), dolly(2, "Short.")]
    made.give("dolly", rows).build()
    assert made.rows("dev") == [
        {
            "id": 0,
            "prompt": f"{HEADER}Ask 0.\n\n### Response:\n",
            "response": TEN,
            "band": "none",
            "kind": "qa",
        }
    ]
    assert made.rows("train") == [
        {
            "id": 0,
            "prompt": f"{HEADER_WITH_INPUT}Ask 1.\n\n### Input:\nGiven.\n\n### Response:\n",
            "response": f"{TEN}.",
            "band": "none",
            "kind": "closed_qa",
        }
    ]
    assert made.rows("test_dolly") == [
        {
            "id": 0,
            "prompt": f"{HEADER}Ask 2.\n\n### Response:\n",
            "response": "Short.",
            "band": "none",
            "kind": "qa",
            "references": ["Short."],
        }
    ]


def test_self_instruct_has_one_item_an_instance(tmp_path: Path) -> None:
    instances = [{"input": "", "output": "A."}, {"input": "b", "output": "B."}]
    row = {"id": "user_oriented_task_0", "motivation_app": "Mail", "instruction": "Write."}
    made = of(tmp_path, "selfinst", [row | {"instances": instances}], template="plain")
    assert [(r["prompt"], r["references"], r["kind"]) for r in made.rows("test_selfinst")] == [
        ("Write.\n\n", ["A."], "selfinst"),
        ("Write.\n\nb\n\n", ["B."], "selfinst"),
    ]


def test_vicuna_has_prompts_alone(tmp_path: Path) -> None:
    row = {"question_id": 7, "category": "writing", "turns": ["Who?", "And then?"]}
    made = of(tmp_path, "vicuna", [row], template="plain")
    assert made.rows("test_vicuna") == [
        {
            "id": 0,
            "prompt": "Who?\n\n",
            "response": "",
            "band": "none",
            "kind": "writing",
            "references": [],
        }
    ]
    assert made.summary["rows_without_references"] == {"test_dolly": 0, "test_vicuna": 1}


def test_vicunas_references_come_from_a_file_beside_it(tmp_path: Path) -> None:
    made = Made(tmp_path, sets=("dolly", "vicuna"))
    made.give("dolly", [dolly(number) for number in range(6)])
    made.give(
        "vicuna", [{"question_id": n, "category": "c", "turns": [f"{n}?"]} for n in (1, 2, 3, 4)]
    )
    made.give(
        "vicuna_references",
        [
            {"question_id": 1, "model_id": "m", "choices": [{"index": 0, "turns": ["One.", "x"]}]},
            {"question_id": 3, "references": ["Three.", "3."]},
            {"question_id": 4, "text": "Four."},
        ],
    )
    summary = made.build()
    found = [(r["references"], r["response"]) for r in made.rows("test_vicuna")]
    assert found == [
        (["One."], "One."),
        ([], ""),
        (["Three.", "3."], "Three."),
        (["Four."], "Four."),
    ]
    assert summary["rows_without_references"]["test_vicuna"] == 1
    assert set(summary["sources"]) == {"dolly", "vicuna", "vicuna_references"}


LONG = "a b c d e f g h i j k"  # eleven words


def test_sni_lines_of_one_question_are_one_item_with_its_references(tmp_path: Path) -> None:
    row = {"task_name": "task1_x", "id": "task1-1", "definition": "Sum up.", "inputs": "Text."}
    rows = [row | {"targets": LONG}, row | {"targets": f"{LONG} l"}, row | {"targets": LONG}]
    rows += [row | {"id": "task1-2", "inputs": "Other.", "targets": [LONG, "short"]}]
    made = of(tmp_path, "sni", rows, template="plain")
    assert [(r["prompt"], r["references"], r["kind"]) for r in made.rows("test_sni")] == [
        ("Sum up.\n\nText.\n\n", [LONG, f"{LONG} l"], "task1_x"),
        ("Sum up.\n\nOther.\n\n", [LONG, "short"], "task1_x"),
    ]


def test_sni_may_be_a_folder_of_its_authors_task_files(tmp_path: Path) -> None:
    made = Made(tmp_path, sets=("dolly", "sni"), template="plain")
    made.give("dolly", [dolly(number) for number in range(6)])
    (made.data / "sni").mkdir()
    for name in ("task2_b", "task1_a"):
        instances = [
            {"id": f"{name}-{n}", "input": f"{name} {n}", "output": [LONG]} for n in range(130)
        ]
        task = {"Contributors": ["x"], "Definition": ["Do."], "Instances": instances}
        (made.data / "sni" / f"{name}.json").write_text(json.dumps(task), encoding="utf-8")
    summary = made.build()
    rows = made.rows("test_sni")
    assert [r["kind"] for r in rows] == ["task1_a"] * 100 + ["task2_b"] * 100
    assert rows[99]["prompt"] == "Do.\n\ntask1_a 99\n\n"
    assert set(summary["sources"]["sni"]["sha256"]) == {"task1_a.json", "task2_b.json"}


def test_unni_core_is_read_from_lines_and_from_its_authors_archive(tmp_path: Path) -> None:
    instances = [
        {
            "instruction_with_input": "Tell of it: x",
            "input": "x",
            "constraints": "None.",
            "output": LONG,
        },
        {"instruction_with_input": "", "input": "y", "constraints": "", "output": "short"},
    ]
    row = {"instruction": "Tell of it.", "instances": instances}
    made = of(tmp_path, "unni", [row], template="plain")
    assert [(r["prompt"], r["references"]) for r in made.rows("test_unni")] == [
        ("Tell of it.\n\nx\n\n", [LONG])
    ]
    with zipfile.ZipFile(tmp_path / "core_data.zip", "w") as archive:
        archive.writestr("core_data.jsonl", json.dumps(row) + "\n")
        archive.writestr("__MACOSX/._core_data.jsonl", "x")
    assert len(formats.read_items(tmp_path / "core_data.zip", "unni")) == 2


def test_minillms_files_are_read_as_they_are(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Ask.", "prompt": "ignored", "input": "", "output": "A."},
        {"instruction": "Ask.", "prompt": "ignored", "input": "x", "output": ["B.", "C."]},
        {"prompt": "Ready-made:<n>Response:<n>", "output": "D."},
    ]
    made = of(tmp_path, "selfinst", rows, template="plain")
    assert [(r["prompt"], r["references"]) for r in made.rows("test_selfinst")] == [
        ("Ask.\n\n", ["A."]),
        ("Ask.\n\nx\n\n", ["B.", "C."]),
        ("Ready-made:\nResponse:\n", ["D."]),
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            '{"question": "x", "answer": "y"}',
            r"line 2: keys answer, question are those of no known",
        ),
        ('{"instruction": 3, "response": "x"}', r"line 2: instruction: text is wanted, not 3"),
        ('{"instruction": "x", "response": [1]}', r"line 2: response: text is wanted, not 1"),
        ('{"instruction": "x", "instances": "y"}', r"line 2: instances: a list of objects is want"),
        ("[1, 2]", r"line 2: an object with keys is wanted, not \[1, 2\]"),
        ("{", r"line 2: not valid JSON"),
    ],
)
def test_a_line_in_no_format_is_named(line: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps(dolly(0)) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(ArkdError, match=f"set.jsonl: {says}"):
        formats.read_items(path, "dolly")


def test_a_blank_line_is_none_and_a_line_break_inside_a_text_stays(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    row = dolly(0, "one\u2028two\nthree")
    path.write_text("\n" + json.dumps(row, ensure_ascii=False) + "\n\n", encoding="utf-8")
    (item,) = formats.read_items(path, "dolly")
    assert item.references == ("one\u2028two\nthree",)


# Filters and splits.


def test_each_filter_counts_what_it_drops() -> None:
    items = [
        ("p", Item("", "", (LONG,), "k")),
        ("p", Item("i", "", (), "k")),
        ("p", Item("i", "", (f"{TEN} eleven",), "k")),
        ("p", Item("i", "", (TEN, LONG), "k")),  # the first reference decides
        ("p " * 5, Item("i", "", (LONG,), "k")),
        ("p " * 4, Item("i", "", (f"{LONG} l",), "k")),
        ("p " * 4, Item("i", "", (LONG,), "k")),
        ("p", Item("i", "", (LONG,), "k")),
    ]
    filters = Filters(min_answer_words=11, max_prompt_words=4, max_words=15, max_items=2)
    kept, counts = sift(items, filters, answered=True)
    assert kept == [items[2], items[6]]
    assert counts == {
        "read": 8,
        "no_instruction": 1,
        "no_answer": 1,
        "answer_under_11_words": 1,
        "prompt_over_4_words": 1,
        "prompt_and_answer_over_15_words": 1,
        "beyond_2": 1,
        "kept": 2,
    }
    assert sift(items, Filters(), answered=False)[1] == {"read": 8, "no_instruction": 1, "kept": 7}


def test_the_protocol_of_the_paper_drops_short_answers_and_long_rows(tmp_path: Path) -> None:
    made = Made(tmp_path, sets=("dolly",))
    rows = [dolly(number) for number in range(10)]
    rows += [dolly(10, "one two three four five six seven eight nine")]
    header = len(f"{HEADER_WITH_INPUT}Ask 10. ### Input: ### Response:".split())
    rows += [dolly(11, context="word " * (380 - 10 - header))]  # 380 words: the longest that stays
    rows += [dolly(12, context="word " * (381 - 10 - header))]
    summary = made.give("dolly", rows).build()
    assert summary["counts"]["dolly"] == {
        "read": 13,
        "no_instruction": 0,
        "no_answer": 0,
        "answer_under_10_words": 1,
        "prompt_and_answer_over_380_words": 1,
        "kept": 11,
    }
    assert summary["rows"] == {"train": 6, "dev": 2, "test_dolly": 3}
    prompts = [row["prompt"] for name in summary["rows"] for row in made.rows(name)]
    assert len(set(prompts)) == 11
    assert any("Ask 11." in text for text in prompts)


def test_the_papers_split_is_random_and_follows_its_seed(tmp_path: Path) -> None:
    def dealt(seed: int) -> dict[str, list[str]]:
        made = Made(tmp_path / str(seed), sets=("dolly",), split_seed=seed, template="plain")
        made.give("dolly", [dolly(number) for number in range(20)]).build()
        return {
            name: [row["prompt"] for row in made.rows(name)]
            for name in ("train", "dev", "test_dolly")
        }

    first = dealt(1)
    assert dealt(1) == first
    assert dealt(2) != first
    assert [len(rows) for rows in first.values()] == [15, 2, 3]
    assert sorted(text for rows in first.values() for text in rows) == sorted(
        f"Ask {n}.\n\n" for n in range(20)
    )
    assert first["dev"] != ["Ask 0.\n\n", "Ask 1.\n\n"]


def test_minillms_split_keeps_the_order(tmp_path: Path) -> None:
    made = Made(tmp_path, sets=("dolly",), protocol="minillm", template="plain")
    made.give("dolly", [dolly(number, "Short.") for number in range(8)]).build()
    assert [row["prompt"] for row in made.rows("dev")] == ["Ask 0.\n\n", "Ask 1.\n\n"]
    assert [row["prompt"] for row in made.rows("train")] == [f"Ask {n}.\n\n" for n in (2, 3, 4)]
    assert [row["prompt"] for row in made.rows("test_dolly")] == [
        f"Ask {n}.\n\n" for n in (5, 6, 7)
    ]


@pytest.mark.parametrize("protocol", ["arkd", "minillm"])
def test_a_test_set_of_its_own_is_taken_whole(protocol: str, tmp_path: Path) -> None:
    made = Made(tmp_path, sets=("dolly",), protocol=protocol, template="plain", train_rows=4)
    made.give("dolly", [dolly(number) for number in range(8)])
    made.give("dolly_test", [{"instruction": "Own.", "input": "", "output": "Short."}])
    summary = made.build()
    assert summary["rows"] == {"train": 4, "dev": 2, "test_dolly": 1}
    assert [row["references"] for row in made.rows("test_dolly")] == [["Short."]]
    assert summary["counts"]["dolly_test"] == {"read": 1, "no_instruction": 0, "kept": 1}


def test_sizes_that_leave_nothing_to_train_on_are_refused(tmp_path: Path) -> None:
    made = Made(tmp_path, sets=("dolly",)).give("dolly", [dolly(number) for number in range(5)])
    with pytest.raises(ArkdError, match=r"dolly: 5 rows .* hold 5 out, .*: lower the two"):
        made.build()
    made.give("dolly", [dolly(number) for number in range(6)])
    assert made.build()["rows"]["train"] == 1


def test_a_spec_changes_single_filters_of_its_protocol(tmp_path: Path) -> None:
    spec = InstructionsSpec(filters={"unni": {"max_items": 7}, "dolly": {"min_answer_words": 0}})
    assert spec.filters_of("unni") == Filters(
        min_answer_words=11, max_prompt_words=190, max_items=7
    )
    assert spec.filters_of("dolly") == Filters(max_words=380)
    assert spec.filters_of("sni") == Filters(min_answer_words=11, max_prompt_words=190)
    assert InstructionsSpec(protocol="minillm").filters_of("selfinst") == Filters(
        max_prompt_words=190
    )


# Sizes, warnings, sources.


def test_what_differs_from_the_published_sizes_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Made(tmp_path, dev_rows=10, test_rows=12)
    instruction_files.write(made.data)
    summary = made.build()
    assert summary["warnings"] == [
        "data: dolly read: 120 rows where 15,011 are published",
        "data: train: 98 rows where 12,000 are published",
        "data: dev: 10 rows where 1,000 are published",
        "data: test_dolly: 12 rows where 500 are published",
        "data: test_selfinst: 12 rows where 252 are published",
        "data: test_vicuna: 8 rows where 80 are published",
        "data: test_sni: 12 rows where 1,694 are published",
        "data: test_unni: 12 rows where 10,000 are published",
    ]
    said = capsys.readouterr().err.splitlines()
    assert said == [f"arkd: {warning}" for warning in summary["warnings"]]
    assert sorted(path.name for path in made.out.iterdir()) == sorted(
        ["train.jsonl", "dev.jsonl", *(f"test_{name}.jsonl" for name in SETS)]
    )


def test_published_sizes_are_met_in_silence(tmp_path: Path) -> None:
    made = Made(tmp_path, sets=("dolly",), dev_rows=1000, test_rows=500)
    summary = made.give("dolly", [dolly(number) for number in range(15_011)]).build()
    assert summary["rows"] == {"train": 12_000, "dev": 1_000, "test_dolly": 500}
    assert summary["warnings"] == []


def test_prompts_that_training_has_too_are_counted(tmp_path: Path) -> None:
    made = Made(tmp_path, sets=("dolly", "selfinst"), protocol="minillm")
    made.give("dolly", [dolly(number) for number in range(8)])
    made.give("selfinst", [{"instruction": "Ask 3.", "input": "", "output": "x"}])
    summary = made.build()
    assert summary["prompts_shared_with_training"] == {
        "dev": 0,
        "test_dolly": 0,
        "test_selfinst": 1,
    }
    assert "data: test_selfinst: 1 prompts also stand in training" in summary["warnings"]


def test_a_missing_file_is_named_with_all_that_are_wanted(tmp_path: Path) -> None:
    made = Made(tmp_path, sets=("dolly", "unni")).give("dolly", [dolly(n) for n in range(6)])
    with pytest.raises(ArkdError, match=r"unni\.jsonl: no such file; .* selfinst\.jsonl"):
        made.build()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sets": ["selfinst"]}, "dolly is needed"),
        ({"sets": ["dolly", "dolly"]}, "each set once"),
        ({"protocol": "other"}, "'arkd' or 'minillm'"),
        ({"origins": {"sni": {"repo": "a/b", "revision": "main", "file": "x"}}}, "git ls-remote"),
        ({"filters": {"dolly": {"min_words": 3}}}, "unknown key"),
        ({"corpus": {"path": "a.txt", "repo": "b/c"}}, "give path alone, or repo, revision"),
        ({"corpus": {"repo": "b/c", "file": "x.parquet"}}, "give path alone, or repo, revision"),
        ({"corpus": {"repo": "b/c", "revision": "main", "file": "x.txt"}}, "git ls-remote"),
    ],
)
def test_a_wrong_spec_says_what_is_wrong(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        InstructionsSpec(**wrong)


def test_without_a_folder_the_pinned_files_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, str]] = []
    write_lines(tmp_path / "databricks-dolly-15k.jsonl", [dolly(number) for number in range(6)])
    task = {"Definition": "Do.", "Instances": [{"input": "x", "output": [LONG]}]}
    (tmp_path / "task9_z.json").write_text(json.dumps(task), encoding="utf-8")
    (tmp_path / "test_tasks.txt").write_text("task9_z\n", encoding="utf-8")

    def fetch(repo: str, revision: str, files: list[str], kind: str, sha256: Any) -> Path:
        assert kind == "dataset"
        assert sha256 is None or set(sha256) == set(files)
        asked.append((repo, revision, files[0]))
        return tmp_path

    def fetch_raw(repo: str, revision: str, file: str, sha256: str | None) -> Path:
        asked.append((repo, revision, file))
        return tmp_path / Path(file).name

    monkeypatch.setattr(hub, "fetch", fetch)
    monkeypatch.setattr(hub, "fetch_raw", fetch_raw)
    spec = InstructionsSpec(sets=("dolly", "sni"), dev_rows=2, test_rows=3)
    summary = build(spec, tmp_path / "out")
    pins = Origins()
    assert asked == [
        ("databricks/databricks-dolly-15k", pins.dolly.revision, "databricks-dolly-15k.jsonl"),
        ("allenai/natural-instructions", pins.sni.revision, "splits/default/test_tasks.txt"),
        ("allenai/natural-instructions", pins.sni.revision, "tasks/task9_z.json"),
    ]
    assert summary["sources"]["dolly"]["revision"] == pins.dolly.revision
    assert [row["kind"] for row in read_jsonl(tmp_path / "out" / "test_sni.jsonl")] == ["task9_z"]


def test_every_pin_is_a_commit() -> None:
    pins = [pin for name in SETS if isinstance(pin := getattr(Origins(), name), Remote)]
    assert len(pins) == 5
    assert all(hub.COMMIT.fullmatch(pin.revision) for pin in pins)


# What the harness makes of them.


def test_prompts_without_references_are_described_but_not_scored(tmp_path: Path) -> None:
    from arkd.evaluation.lm_eval_bridge import Harness
    from arkd.paths import benchmarks_dir
    from arkd.storage.stage_writer import Stopwatch
    from arkd.suite.load import load_suite

    made = Made(tmp_path, sets=("dolly", "vicuna"), dev_rows=1, test_rows=2, template="plain")
    made.give("dolly", [dolly(number) for number in range(4)])
    questions = [{"question_id": n, "category": "c", "turns": [f"Who is {n}?"]} for n in (1, 2, 3)]
    made.give("vicuna", questions).build()
    first, second = made.rows("test_dolly")
    write_lines(made.out / "test_dolly.jsonl", [first, second | {"references": [], "response": ""}])
    smoke = load_suite("smoke")
    decoding = smoke.decoding.model_copy(update={"max_new_tokens": 4})
    changes = {"test_sets": ("dolly", "vicuna"), "open_tasks": (), "decoding": decoding}
    suite = smoke.model_copy(update=changes)
    model = benchmarks_dir() / "fixtures" / "smoke-teacher"
    found = {
        answered.task: answered
        for answered in Harness(suite, model, made.out, "cpu", Stopwatch()).generation(1, 1)
    }
    described = ["length_words", "length_tokens", "eos_share", "distinct_1", "distinct_2"]
    assert [value.metric for value in found["vicuna"].values] == [*described, "self_bleu"]
    assert {value.n for value in found["vicuna"].values} == {3}
    assert found["vicuna"].rouge_l == []
    assert len(found["vicuna"].texts) == 3
    assert [(v.metric, v.n) for v in found["dolly"].values][:2] == [
        ("rouge_l", 1),  # of the two answers the one that has a reference
        ("length_words", 2),
    ]
    assert len(found["dolly"].rouge_l) == 1


# The corpus of L_pt.


def corpus_rows(tmp_path: Path, **corpus: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    made = Made(tmp_path, sets=("dolly",), corpus=corpus)
    summary = made.give("dolly", [dolly(number) for number in range(6)]).build()
    return made.rows("corpus"), summary


def test_a_corpus_is_the_first_documents_of_a_file(tmp_path: Path) -> None:
    write_lines(tmp_path / "texts.jsonl", [{"body": text} for text in ("A.", " ", "B.\n", "C.")])
    rows, summary = corpus_rows(tmp_path, path=str(tmp_path / "texts.jsonl"), column="body", rows=2)
    assert rows == [{"id": 0, "text": "A."}, {"id": 1, "text": "B."}]
    assert summary["rows"]["corpus"] == 2
    assert summary["sources"]["corpus"]["path"].endswith("texts.jsonl")
    (tmp_path / "texts.txt").write_text("A b.\n\nC d.\n", encoding="utf-8")
    rows, _ = corpus_rows(tmp_path, path=str(tmp_path / "texts.txt"))
    assert [row["text"] for row in rows] == ["A b.", "C d."]


def test_a_corpus_may_lie_on_the_hub_in_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"text": ["A.", None, "B."], "n": [1, 2, 3]})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    monkeypatch.setattr(hub, "fetch", lambda *_: tmp_path)
    where = {"repo": "a/b", "revision": COMMIT, "file": "x.parquet"}
    rows, summary = corpus_rows(tmp_path, **where)
    assert [row["text"] for row in rows] == ["A.", "B."]
    assert summary["sources"]["corpus"]["revision"] == COMMIT
    with pytest.raises(ArkdError, match=r"no column 'body'; correct data\.corpus\.column"):
        corpus_rows(tmp_path, **where, column="body")


def test_a_corpus_that_is_not_there_or_has_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArkdError, match=r"none\.txt: no such file; correct data\.corpus\.path"):
        corpus_rows(tmp_path, path=str(tmp_path / "none.txt"))
    write_lines(tmp_path / "texts.jsonl", [{"body": "A."}])
    with pytest.raises(ArkdError, match=r"texts\.jsonl: line 1: no text in 'text'"):
        corpus_rows(tmp_path, path=str(tmp_path / "texts.jsonl"))
