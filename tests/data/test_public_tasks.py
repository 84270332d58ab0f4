"""The public tasks: lm-eval's own, on rows in the hub's schema, against an own forward pass."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import instruction_files
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simulate
import yaml
from conftest import ROOT
from test_tasks import loader, task_manager

from arkd.data import public_tasks as public
from arkd.data.public_tasks import SOURCES, PublicTask
from arkd.errors import ArkdError
from arkd.evaluation import tasks
from arkd.evaluation.value import Value
from arkd.stages import prepare as stages
from arkd.storage import offline
from arkd.storage.files import read_json, read_jsonl, sha256_file, write_jsonl
from arkd.suite.folders import Tree
from arkd.suite.jobs import config_slice
from arkd.suite.load import load_suite
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder
from arkd.tables.kinds import public as public_table

MODEL = ROOT / "benchmarks" / "fixtures" / "smoke-teacher"
FOLDER = ROOT / "benchmarks" / "tasks" / "public"
TASKS: tuple[PublicTask, ...] = get_args(PublicTask)

# The model goes on greedily with " The" in one text and with " Durfem" after one question; and no
# two choices are right equally often, so that another choice gives another share.
LAMBADA = [{"text": f"Ann went to Tarn and saw Ben in {last}"} for last in ("Tarn", "Vell", "The")]
ONCE_TO_FOUR_TIMES = [0, 1, 1, 2, 2, 2, 3, 3, 3, 3]
HELLASWAG = [
    {
        "ind": number,
        "activity_label": "Removing ice",
        "ctx_a": "A man stands by a car.",
        "ctx_b": "he",
        "ctx": "A man stands by a car. he",
        "endings": ["scrapes the ice.", "sings [substeps] a long song.", "eats it.", "sleeps."],
        "source_id": "activitynet~v_1",
        "split": "val",
        "split_type": "indomain",
        "label": str(right),
    }
    for number, right in enumerate(ONCE_TO_FOUR_TIMES)
]
ARC = [
    {
        "id": f"Mercury_{number}",
        "question": "Which animal can fly?",
        "choices": {"text": ["a bird", "a dog", "an old cat"], "label": labels},
        "answerKey": labels[right],
    }
    for number, right in enumerate(ONCE_TO_FOUR_TIMES[:6])
    for labels in [list("ABC" if number % 2 else "123")]
]
PIQA = [
    {"goal": "Open a jar", "sol1": "Turn the lid.", "sol2": "Paint it and wait.", "label": right}
    for right in (0, 1, 1)
]
WINOGRANDE = [
    {
        "sentence": "Ann thanked Ben because _ had helped with the move.",
        "option1": "Ann",
        "option2": "Benedict",
        "answer": answer,
    }
    for answer in ("1", "2", "2")
]
POPQA = [
    {
        "id": number,
        "subj": "Ann",
        "prop": "occupation",
        "obj": answers[0],
        "subj_id": 1850297,
        "prop_id": 22,
        "obj_id": 2834605,
        "s_aliases": "[]",
        "o_aliases": json.dumps(answers[1:]),
        "s_uri": "http://www.wikidata.org/entity/Q5543720",
        "o_uri": "http://www.wikidata.org/entity/Q82955",
        "s_wiki_title": "Ann",
        "o_wiki_title": "Politician",
        "s_pop": views,
        "o_pop": 25692,
        "question": question,
        "possible_answers": json.dumps(answers),
    }
    for number, (views, question, answers) in enumerate(
        [
            (12, "What is Ann's occupation?", ["politician", "political leader", "pol."]),
            (99, "Where does Åsa live?", ['Åsa\'s "own" house']),
            (100, "Where does Ann live?", ["Tarn", "Durfem"]),
            (9_999, "What is Tarn?", ["city", "town"]),
            (10_000, "Who is Ben?", ["Vell", "the town of Vell"]),
        ]
    )
]
ROWS: dict[PublicTask, list[dict[str, Any]]] = {
    "lambada_openai": LAMBADA,
    "hellaswag": HELLASWAG,
    "arc_easy": ARC,
    "piqa": PIQA,
    "winogrande": WINOGRANDE,
    "popqa": POPQA,
}


def put(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as the hub has them, by the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        write_jsonl(path, rows)
    else:
        with path.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.DictWriter(lines, rows[0], delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


@pytest.fixture(scope="module")
def own_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a small file of each task, of the kind that the hub has."""
    folder = tmp_path_factory.mktemp("own")
    for task, rows in ROWS.items():
        put(folder / "public" / f"{task}{Path(SOURCES[task].file).suffix}", rows)
    return folder


@pytest.fixture(scope="module")
def data(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite's data folder with the rows of every task."""
    folder = tmp_path_factory.mktemp("data")
    public.write(TASKS, None, folder, str(own_files))
    return folder


def written(folder: Path, task: PublicTask) -> list[dict[str, Any]]:
    return read_jsonl(folder / "public" / task / f"{SOURCES[task].split}.jsonl")


def asking(*asked: str, **changes: Any) -> Suite:
    suite = load_suite("smoke").model_dump() | {"public_tasks": asked, **changes}
    return Suite.model_validate(suite)


# Rows


def test_every_task_has_a_full_pin_and_a_file_that_can_be_read() -> None:
    assert tuple(SOURCES) == TASKS
    for source in SOURCES.values():
        assert re.fullmatch("[0-9a-f]{40}", source.revision)
        assert source.sha256 is None or re.fullmatch("[0-9a-f]{64}", source.sha256)
        assert Path(source.file).suffix in public.READERS


@pytest.mark.parametrize("task", TASKS)
def test_rows_reach_the_data_folder_as_they_are(task: PublicTask, data: Path) -> None:
    as_text = task == "popqa"  # a table of text has no numbers
    expected = [{k: str(v) for k, v in r.items()} if as_text else r for r in ROWS[task]]
    assert written(data, task) == expected


def test_a_part_of_the_rows_is_spread_over_all(own_files: Path, tmp_path: Path) -> None:
    facts = public.write(["hellaswag", "piqa"], 3, tmp_path, str(own_files))
    assert [row["ind"] for row in written(tmp_path, "hellaswag")] == [0, 3, 6]
    assert written(tmp_path, "piqa") == PIQA
    assert (facts["hellaswag"]["rows"], facts["hellaswag"]["kept"]) == (10, 3)
    own = own_files / "public" / "hellaswag.parquet"
    assert facts["hellaswag"]["file"] == own.name  # no path of this machine
    assert facts["hellaswag"]["sha256"] == sha256_file(own)
    assert public.spread([{"n": n} for n in range(10)], 2) == [{"n": 0}, {"n": 5}]


def test_without_a_folder_the_pinned_file_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the hub's own client, which has no network here; and what it brings is checked."""
    source, asked = SOURCES["hellaswag"], []
    kept = f"datasets--{source.repo.replace('/', '--')}/snapshots/{source.revision}"

    def download(repo: str, **options: Any) -> None:
        asked.append((repo, options["repo_type"], options["revision"], options["allow_patterns"]))
        put(tmp_path / kept / source.file, HELLASWAG)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setenv(offline.OURS, " ".join(offline.SWITCHES))
    with pytest.raises(ArkdError, match=f"its SHA-256 is .* and not {source.sha256}"):
        public.write(["hellaswag"], None, tmp_path, None)
    assert asked == [(source.repo, "dataset", source.revision, [source.file])]
    found = sha256_file(tmp_path / kept / source.file)
    monkeypatch.setitem(SOURCES, "hellaswag", replace(source, sha256=found))
    facts = public.write(["hellaswag"], None, tmp_path, None)
    assert facts["hellaswag"]["revision"] == source.revision
    assert written(tmp_path, "hellaswag") == HELLASWAG


def test_a_file_in_the_hubs_cache_needs_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SOURCES["winogrande"]
    kept = f"datasets--{source.repo.replace('/', '--')}/snapshots/{source.revision}"
    put(tmp_path / kept / source.file, WINOGRANDE)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    public.write(["winogrande"], None, tmp_path, None)
    assert written(tmp_path, "winogrande") == WINOGRANDE


def test_a_missing_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(ArkdError) as found:
        public.write(["piqa"], None, tmp_path, str(tmp_path / "own"))
    assert str(found.value) == (
        f"{tmp_path}/own/public/piqa.parquet: no such file, nor one in .jsonl or .tsv; "
        "put piqa_validation.parquet of the hub's data set baber/piqa there, "
        "or leave 'piqa' out of public_tasks"
    )


@pytest.mark.parametrize("rows", [[], [{"question": "Open a jar", "sol1": "Turn.", "label": 0}]])
def test_a_file_of_another_schema_is_refused(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    put(tmp_path / "public" / "piqa.jsonl", rows)
    with pytest.raises(ArkdError, match=r"piqa\.jsonl: no rows with goal, .*of baber/piqa"):
        public.write(["piqa"], None, tmp_path / "data", str(tmp_path))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "piqa.parquet").write_bytes(b"<html>not here</html>")
    with pytest.raises(ArkdError, match=r"piqa\.parquet: not a parquet file"):
        public.write(["piqa"], None, tmp_path / "data", str(tmp_path))


def test_the_data_stage_writes_and_notes_the_rows(own_files: Path, tmp_path: Path) -> None:
    instruction_files.write(own_files)
    sizes = {"dev_rows": 8, "test_rows": 10}
    data = {"source": "instructions", "data_dir": str(own_files), **sizes}
    suite = asking("piqa", public_items=2, data=data, test_sets=("dolly",))
    tree = Tree(tmp_path, suite)
    stages.data(tree)
    assert written(tree.data, "piqa") == [PIQA[0], PIQA[1]]
    made = read_json(tree.data / "manifest.json")
    assert made["notes"]["public_tasks"]["piqa"]["kept"] == 2
    assert made["config"]["public_tasks"] == ["piqa"]
    assert "public/piqa/validation.jsonl" in made["outputs"]


# The suite's keys


def test_the_keys_belong_to_data_and_evaluation_alone() -> None:
    plain, asked = asking(), asking("piqa", public_items=9)
    for stage in ("data", "tokens", "teacher", "init", "cache", "evaluate", "collect"):
        plainly = config_slice(plain, stage, "fixture", "arkd")
        own = config_slice(asked, stage, "fixture", "arkd")
        more = {key: value for key, value in own.items() if key not in plainly}
        wanted = {"public_tasks": ["piqa"], "public_items": 9}
        assert more == (wanted if stage in ("data", "evaluate") else {})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["hellaswg"], r"public_tasks\.0: .*'hellaswag'.*\(found 'hellaswg'\)"),
        (["piqa", "piqa"], "public_tasks: piqa stands twice"),
    ],
)
def test_a_wrong_key_is_named(asked: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"extends": "smoke", "name": "own", "public_tasks": asked}))
    with pytest.raises(ArkdError, match=message):
        load_suite(str(path))


# Scores


class Model:
    """A causal model asked one sequence at a time, without lm-eval."""

    def __init__(self) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(MODEL)
        self.model = AutoModelForCausalLM.from_pretrained(MODEL).float().eval()

    def told(self, prompt: str, text: str) -> tuple[float, bool]:
        """The log-likelihood of a text after a prompt, in float64, and whether it is greedy."""
        import torch

        whole = self.tokenizer(prompt + text, add_special_tokens=False)["input_ids"]
        start = len(self.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        with torch.inference_mode():
            logits = self.model(torch.tensor([whole])).logits[0].double()
        before = logits[start - 1 : len(whole) - 1].log_softmax(-1)
        picked = before[range(len(before)), whole[start:]]
        return float(picked.sum()), before.argmax(-1).tolist() == whole[start:]

    def nats(self, prompt: str, text: str) -> float:
        return self.told(prompt, text)[0]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.fixture(scope="module")
def harness(data: Path) -> Any:
    from arkd.evaluation.lm_eval_bridge import Harness
    from arkd.storage.stage_writer import Stopwatch

    return Harness(asking(*TASKS), MODEL, data, "cpu", Stopwatch())


@pytest.fixture(scope="module")
def values(harness: Any) -> list[Value]:
    return list(harness.public())


def value(values: list[Value], task: str, metric: str, group: str = "") -> float:
    (found,) = (v for v in values if (v.task, v.metric, v.group) == (task, metric, group))
    return found.value


def check_choices(values: list[Value], task: str, items: list[tuple[list[float], int]]) -> None:
    """Items are the log-likelihoods of the choices and the right one's place."""
    right = [int(np.argmax(nats)) == gold for nats, gold in items]
    assert value(values, task, "acc") == pytest.approx(np.mean(right))


def test_lambada_is_the_last_word_after_the_rest(values: list[Value], model: Model) -> None:
    split = [row["text"].rpartition(" ") for row in LAMBADA]
    told = [model.told(before, f" {last}") for before, _, last in split]
    nats = np.mean([n for n, _ in told])
    assert value(values, "lambada_openai", "perplexity") == pytest.approx(math.exp(-nats), rel=1e-4)
    assert value(values, "lambada_openai", "acc") == np.mean([greedy for _, greedy in told])
    assert value(values, "lambada_openai", "acc") == pytest.approx(1 / 3)


def test_hellaswag_is_the_likeliest_ending(values: list[Value], model: Model) -> None:
    prompt = "Removing ice: A man stands by a car. He"
    endings = ["scrapes the ice.", "sings a long song.", "eats it.", "sleeps."]
    nats = [model.nats(prompt, f" {ending}") for ending in endings]
    check_choices(values, "hellaswag", [(nats, right) for right in ONCE_TO_FOUR_TIMES])
    per_character = [n / len(ending) for n, ending in zip(nats, endings, strict=True)]
    share = np.mean([right == np.argmax(per_character) for right in ONCE_TO_FOUR_TIMES])
    assert value(values, "hellaswag", "acc_norm") == pytest.approx(share)


def test_arc_easy_is_the_likeliest_answer(values: list[Value], model: Model) -> None:
    prompt = "Question: Which animal can fly?\nAnswer:"
    nats = [model.nats(prompt, f" {text}") for text in ("a bird", "a dog", "an old cat")]
    check_choices(values, "arc_easy", [(nats, right) for right in ONCE_TO_FOUR_TIMES[:6]])


def test_piqa_is_the_likelier_solution(values: list[Value], model: Model) -> None:
    prompt = "Question: Open a jar\nAnswer:"
    nats = [model.nats(prompt, f" {text}") for text in ("Turn the lid.", "Paint it and wait.")]
    check_choices(values, "piqa", [(nats, gold) for gold in (0, 1, 1)])


def test_winogrande_is_the_name_after_which_the_rest_is_likelier(
    values: list[Value], model: Model
) -> None:
    prompts = [f"Ann thanked Ben because {name}" for name in ("Ann", "Benedict")]
    nats = [model.nats(prompt, " had helped with the move.") for prompt in prompts]
    check_choices(values, "winogrande", [(nats, gold) for gold in (0, 1, 1)])


def test_popqa_is_the_likeliest_spelling_by_band(values: list[Value], model: Model) -> None:
    bands = ["tail", "tail", "torso", "torso", "head"]
    best, right = [], []
    for row in POPQA:
        answers = json.loads(row["possible_answers"])
        told = [model.told(f"Q: {row['question']} A:", f" {answer}") for answer in answers]
        best.append(max(nats for nats, _ in told))
        right.append(any(greedy for _, greedy in told))
    assert [(v.group, v.n) for v in values if (v.task, v.metric) == ("popqa", "acc")] == [
        ("", 5),
        ("tail", 2),
        ("torso", 2),
        ("head", 1),
    ]
    for group in ("", "tail", "torso", "head"):
        of = [place for place, name in enumerate(bands) if group in ("", name)]
        nats = np.mean([best[place] for place in of])
        assert value(values, "popqa", "logprob_nats", group) == pytest.approx(nats, abs=1e-3)
        share = np.mean([right[place] for place in of])
        assert share == {"": 0.2, "tail": 0.0, "torso": 0.5, "head": 0.0}[group]
        assert value(values, "popqa", "acc", group) == pytest.approx(share)


def test_recall_takes_the_best_spelling_and_any_greedy_one() -> None:
    found = tasks.recalled({}, [(-7.0, True), (-2.5, False)])
    assert found == {"logprob_nats": -2.5, "acc": 1.0}
    assert tasks.recalled({}, [(-1.0, False)])["acc"] == 0.0
    assert [tasks.band(n) for n in (0, 99, 100, 9_999, 10_000)] == (
        ["tail", "tail", "torso", "torso", "head"]
    )


def test_directions_are_the_tasks_own(values: list[Value]) -> None:
    lower = {(v.task, v.metric) for v in values if not v.higher_is_better}
    assert lower == {("lambada_openai", "perplexity")}


# lm-eval's definitions


def stock(task: PublicTask) -> dict[str, Any]:
    """lm-eval's own definition of a task, with the names of its functions."""
    import lm_eval

    folder = Path(lm_eval.__file__).parent / "tasks" / str(SOURCES[task].family)
    for path in folder.glob("*.yaml"):
        read: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), loader())
        if read.get("task") == task:
            return read
    raise AssertionError(task)


STOCK = [task for task in TASKS if SOURCES[task].family]


@pytest.mark.parametrize("task", STOCK)
def test_a_stock_task_is_lm_evals_but_for_the_rows(task: PublicTask, harness: Any) -> None:
    loaded = harness.tasks.load([f"arkd_{task}"])["tasks"][task].config
    for key, its in stock(task).items():
        found = getattr(loaded, key, None)
        if key in ("training_split", "validation_split") and found is None:
            continue  # a split that is not scored
        if callable(found):
            assert its.rpartition(".")[2] == found.__name__
        elif key == "metadata":
            assert found["version"] == its["version"]
        elif key != "tag":
            assert found == its, key
    assert loaded.custom_dataset is tasks.load
    assert loaded.num_fewshot in (None, 0)


def test_the_versions_of_the_tasks_are_noted(values: list[Value], harness: Any) -> None:
    own = {"popqa": 1.0} | {task: stock(task)["metadata"]["version"] for task in STOCK}
    assert harness.versions == {task: str(version) for task, version in own.items()}
    for task, version in own.items():
        assert re.search(rf"^\| `{task}` .* {version} \|$", readme(), re.M), task


def test_a_suite_indexes_only_the_families_it_asks(data: Path) -> None:
    assert not {"hellaswag", "piqa"} & set(task_manager(data).all_tasks)


def test_rows_that_are_not_there_are_named(harness: Any, tmp_path: Path) -> None:
    with pytest.raises(ArkdError, match=r"public/popqa/test\.jsonl: no such file; run the stage"):
        task_manager(tmp_path).load(["popqa"])


@pytest.mark.heavy  # lm-eval from its own command line
def test_the_readmes_command_gives_the_same_offline(
    data: Path, values: list[Value], tmp_path: Path
) -> None:
    block = re.search(r"### Run.*?```sh\n(.*?)```", readme(), re.S)
    assert block
    *_, last = block[1].replace("\\\n", " ").strip().splitlines()
    command = shlex.split(
        last.replace("MODEL_DIR", str(MODEL)).replace("results/SUITE/data", str(data))
    )
    assert command[0] == "lm_eval"
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    unreachable = {"HTTPS_PROXY": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | unreachable,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = (tmp_path / "lm_eval_results").rglob("results_*.json")
    found = read_json(result)
    assert found["versions"]["hellaswag"] == 1.0
    totals = [v for v in values if not v.group]
    assert {v.task for v in totals} == set(TASKS)
    for v in totals:
        assert found["results"][v.task][f"{v.metric},none"] == pytest.approx(v.value, rel=1e-5)
    assert not [p for p in (tmp_path / "hf").rglob("*") if p.is_file()]


# What is shown


def readme() -> str:
    return (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("task", TASKS)
def test_the_readme_tells_the_pin(task: PublicTask) -> None:
    source = SOURCES[task]
    row = f"| `{task}` | `{source.repo}` | `{source.file}` | `{source.revision}` |"
    assert row in readme()


def test_a_columns_metric_is_one_that_its_task_gives(values: list[Value]) -> None:
    given = {(v.task, v.metric, v.group) for v in values}
    shown = public_table.columns(asking(*TASKS))
    assert {(c.task, c.metric, c.group) for c in shown} <= given
    assert {c.task for c in shown} == set(TASKS)


def test_the_table_has_a_column_for_each_task_that_is_asked(tmp_path: Path) -> None:
    suite = simulate.suite_of(["forward_kl", "arkd"], public_tasks=("piqa", "popqa"))
    levels = {"piqa": 0.6, "popqa": -7.5}
    rows = simulate.rows_of(suite, lambda method, task, metric: levels.get(task, 30.0), sd=0.0)
    without_torso = [row for row in rows if row["group"] != "torso"]  # a band without items
    make = Builder(suite, simulate.save(suite, tmp_path, without_torso))
    table = simulate.laid_out(public_table, make)
    assert [column.title for column in table.columns] == [
        "PIQA ↑",
        "PopQA ↑",
        "PopQA, head (nats) ↑",
        "PopQA, tail (nats) ↑",
    ]
    (arkd,) = (row for row in table.rows if row.method == "arkd")
    assert [cell.mean for cell in arkd.cells] == pytest.approx([0.6, -7.5, -7.5, -7.5])
    assert not make.gaps
    assert public_table.build(Builder(simulate.suite_of(), tmp_path)) is None
