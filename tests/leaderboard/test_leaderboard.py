"""The leaderboard: effects against an own computation, who joins and how, and the page itself."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml
from browser import BROWSER, Browser
from conftest import ROOT
from run_folders import filled_form, rows_for, write_run
from scipy import stats
from simulate import Row, rows_of, save, suite_of

from arkd.audit.compare_records import Key, Side
from arkd.cli import main as cli
from arkd.errors import ArkdError
from arkd.exchange import submit
from arkd.leaderboard import boards, page
from arkd.leaderboard import form as board_form
from arkd.leaderboard.runs import Entry
from arkd.storage.files import sha256_file
from arkd.suite.suite import Suite

PAIR = "llama-0.5M-0.1M"
REFERENCE = ROOT / "results" / "reference"
LONGTAIL = REFERENCE / "1.0" / "longtail"
SCHEMA = ROOT / "benchmarks" / "schema" / "leaderboard.schema.json"
FOREIGN = "foreign:theirs"


def submitted(results: Path, scratch: Path) -> None:
    """Submit a run of longtail by another core, with a student that was trained elsewhere."""
    suite = suite_of(("forward_kl", "reverse_kl"))
    run = write_run(suite, scratch / "runs", rows_for(suite))
    made = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(made | {"core": "feedfeedfeedfeed"}))
    home = run / "foreign" / "theirs" / PAIR / "evaluation"
    home.mkdir(parents=True)
    alike = run / PAIR / "reverse_kl" / "evaluation"
    own = (alike / "records.csv").read_text()
    (home / "records.csv").write_text(own.replace(",reverse_kl,", f",{FOREIGN},"))
    measured = json.loads((alike / "manifest.json").read_text())
    shutil.copyfile(alike / "samples.jsonl", home / "samples.jsonl")
    measured["outputs"] = {path.name: sha256_file(path) for path in home.iterdir()}
    measured["label"] = FOREIGN
    (home / "manifest.json").write_text(json.dumps(measured))
    told = filled_form(
        name="theirs",
        method="<b>Their</b> method",
        rows={FOREIGN: {"processor_s": 145, "prefixes": "student", "family": "prefix"}},
    )
    (scratch / "form.yaml").write_text(yaml.safe_dump(told))
    submit.pack(run, scratch / "form.yaml", results / "submissions" / "theirs")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with three references and one submission."""
    folder = tmp_path_factory.mktemp("results")
    for name in ("longtail", "smollm2-quick", "smoke"):
        target = folder / "reference" / "1.0" / name
        target.mkdir(parents=True)
        for file in ("records.csv", "cost.csv", "manifest.json"):
            shutil.copyfile(REFERENCE / "1.0" / name / file, target / file)
    submitted(folder, tmp_path_factory.mktemp("scratch"))
    return folder


@pytest.fixture(scope="module")
def out(results: Path) -> Path:
    assert cli.main(["leaderboard", "--results", str(results)]) == 0
    return results / "leaderboard"


@pytest.fixture(scope="module")
def found(out: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((out / page.JSON).read_text(encoding="utf-8"))
    return made


def board(found: dict[str, Any], suite: str) -> dict[str, Any]:
    boards = [board for board in found["boards"] if board["suite"] == suite]
    assert len(boards) == 1
    return boards[0]


def by_seed(records: Path, method: str, task: str, metric: str) -> np.ndarray:
    with records.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    values: dict[int, list[float]] = {}
    for row in rows:
        if (row["method"], row["task"], row["metric"], row["group"]) == (method, task, metric, ""):
            values.setdefault(int(row["seed"]), []).append(float(row["value"]))
    return np.array([np.mean(values[seed]) for seed in sorted(values)])


@pytest.mark.parametrize(
    ("measure", "task", "metric"),
    [("rouge_l", "longtail_id", "rouge_l"), ("jsd", "fidelity_gold", "jsd")],
)
def test_an_effect_is_the_paired_difference_with_its_t_interval(
    measure: str, task: str, metric: str, found: dict[str, Any]
) -> None:
    rows = {row["method"]: row for row in board(found, "longtail")["rows"]
            if row["run"] == "reference/1.0/longtail"}  # fmt: skip
    base = by_seed(LONGTAIL / "records.csv", "forward_kl", task, metric)
    for method in ("arkd", "reverse_kl", "seqkd"):
        gaps = by_seed(LONGTAIL / "records.csv", method, task, metric) - base
        low, high = stats.t.interval(0.95, len(gaps) - 1, gaps.mean(), stats.sem(gaps))
        effect = rows[method]["effects"][measure]
        assert effect["mean"] == pytest.approx(gaps.mean(), rel=1e-9)
        assert (effect["low"], effect["high"]) == pytest.approx((low, high), rel=1e-9)
        assert effect["seeds"] == 3
        assert effect["base"] == pytest.approx(base.mean(), rel=1e-9)
    assert rows["forward_kl"]["effects"][measure]["mean"] == 0


def test_rows_know_their_prefixes_and_family(found: dict[str, Any]) -> None:
    rows = {row["method"]: row for row in board(found, "longtail")["rows"]}
    assert (rows["seqkd"]["prefixes"], rows["seqkd"]["family"]) == ("teacher", "sequence level")
    assert (rows["forward_kl"]["prefixes"], rows["arkd"]["family"]) == ("gold", "adaptive")
    assert (rows[FOREIGN]["prefixes"], rows[FOREIGN]["family"]) == ("student", "prefix")


def test_cost_is_that_of_the_run_or_what_is_declared(found: dict[str, Any]) -> None:
    rows = {row["method"]: row for row in board(found, "longtail")["rows"]}
    with (LONGTAIL / "cost.csv").open(newline="") as lines:
        spent = [
            float(row["train_s"]) * int(row["threads"])
            for row in csv.DictReader(lines)
            if (row["method"], row["stage"]) == ("seqkd", "distill")
        ]
    assert rows["seqkd"]["cost"]["seconds"] == pytest.approx(np.mean(spent))
    assert rows["seqkd"]["cost"]["declared"] is False
    assert rows[FOREIGN]["cost"] == {"seconds": 145, "kind": "processor", "declared": True}


@pytest.mark.parametrize(
    ("device", "gpus", "kind", "workers"),
    [
        ("cpu", 2, "processor", 4),  # a GPU that is there and does nothing
        ("cuda", 1, "gpu", 2),
        ("auto", 1, "gpu", 2),
        ("auto", 0, "processor", 4),
    ],
)
def test_seconds_are_counted_by_what_trained(
    tmp_path: Path, device: str, gpus: int, kind: str, workers: int
) -> None:
    """Four threads feed two GPUs: their seconds are the GPUs', not the threads'."""
    lines = ["stage,pair,method,seed,train_s,threads"]
    lines += ["distill,p,arkd,1,10,4", "distill,p,arkd,2,30,4", "distill,p,arkd,3,0.01,4"]
    (tmp_path / "cost.csv").write_text("\n".join(lines) + "\n")
    made = {
        "config": {"device": device, "training": {"devices": 2}},
        "host": {"gpus": [{"name": "H100"}] * gpus} if gpus else {},
    }
    side = Side(tmp_path, {}, "x", "1.0", failed={("p", "arkd", 3)})  # it ended early
    entry = Entry("x", tmp_path, "reference", side, made)
    cost = entry.costs["p", "arkd"]
    assert (cost.seconds, cost.kind) == (20.0 * workers, kind)


def drawn(suite: Suite, folder: Path, rows: list[Row], **config: Any) -> Path:
    """Write drawn results of a suite where a reference lies, and return its folder."""
    root = save(suite, folder / "reference" / "1.0", rows) / suite.name
    made = json.loads((root / "manifest.json").read_text())
    made["config"] = {"description": "drawn", "test_sets": list(suite.test_sets), **config}
    (root / "manifest.json").write_text(json.dumps(made))
    return root


def hard_sets(method: str, task: str, metric: str) -> float:
    """Let one test set out of distribution be twenty points harder than the others."""
    return 10.0 if task == "longtail_rare" else 30.0


def effect_of(folder: Path, method: str) -> dict[str, Any]:
    rows = boards.build(folder, folder / "index.html").boards[0].rows
    return {row.method: row.effects for row in rows}[method]


def test_a_row_without_a_test_set_has_no_mean_over_the_others(tmp_path: Path) -> None:
    """Without its hardest set it would lead by five points, of which it has earned none."""
    suite = suite_of(("forward_kl", "reverse_kl", "arkd"))
    rows = rows_of(suite, hard_sets, sd=0.0)
    lacking = [r for r in rows if (r["method"], r["task"]) != ("arkd", "longtail_rare")]
    drawn(suite, tmp_path, lacking)
    assert "outside" not in effect_of(tmp_path, "arkd")
    assert effect_of(tmp_path, "arkd")["rouge_l"].mean == pytest.approx(0.0)
    whole = effect_of(tmp_path, "reverse_kl")["outside"]
    others = [30.0] * (len(suite.test_sets) - 2)
    assert whole.value == pytest.approx(np.mean([10.0, *others]))
    assert whole.mean == pytest.approx(0.0)


def test_a_set_that_forward_kl_lacks_counts_for_no_row(tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "arkd"))
    rows = rows_of(suite, hard_sets, sd=0.0)
    drawn(
        suite,
        tmp_path,
        [r for r in rows if (r["method"], r["task"]) != ("forward_kl", "longtail_rare")],
    )
    assert effect_of(tmp_path, "arkd")["outside"].mean == pytest.approx(0.0)


def test_seeds_are_compared_over_the_same_decoding_seeds(tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "arkd"))
    lost = str(suite.decoding.seeds[-1])
    first = suite.test_sets[0]
    rows = [
        row
        for row in rows_of(suite)
        if (row["method"], int(row["seed"]), row["task"], str(row["decode_seed"]))
        != ("arkd", suite.seeds[0], first, lost)
    ]
    drawn(suite, tmp_path, rows)
    found = effect_of(tmp_path, "arkd")
    assert found["rouge_l"].seeds == len(suite.seeds) - 1
    assert found["outside"].seeds == found["jsd"].seeds == len(suite.seeds)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: text.replace("pair,method", "pair,row", 1), "column method is missing"),
        (lambda text: text.replace(",pair,", ",par,", 1), "column pair is missing"),
        (lambda text: text.replace(",train_s,", ",trained_s,", 1), "column train_s is missing"),
        (lambda text: text.replace(",stage,", ",stages,", 1), "column stage is missing"),
        (lambda text: text.replace(",1,distill,", ",one,distill,", 1), "one"),
        (lambda text: "", "empty"),
        (lambda text: re.sub(r"(,distill,[\d.]+),[\d.]+,", r"\1,1e308,", text), "1e+308 is not"),
    ],
)
def test_a_cost_file_that_cannot_be_read_leaves_its_run_out(
    damage: Callable[[str], str], why: str, tmp_path: Path
) -> None:
    suite = suite_of(("forward_kl", "arkd"))
    drawn(suite, tmp_path, rows_of(suite))
    other = suite.model_copy(update={"name": "other"})
    path = drawn(other, tmp_path, rows_of(other)) / "cost.csv"
    path.write_text(damage(path.read_text()))
    made = boards.build(tmp_path, tmp_path / "index.html")
    assert [run.id for run in made.runs] == [f"reference/1.0/{suite.name}"]
    assert why in made.left_out["reference/1.0/other"]


@pytest.mark.parametrize("large", [1.7e308, 1e16])
def test_records_too_large_to_be_averaged_leave_their_run_out(large: float, tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "arkd"))
    drawn(suite, tmp_path, rows_of(suite))
    other = suite.model_copy(update={"name": "other"})
    rows = rows_of(other)
    for row in rows:
        if row["metric"] == "jsd":
            row["value"] = large if row["method"] == "forward_kl" else -large
    drawn(other, tmp_path, rows)
    made = boards.build(tmp_path, tmp_path / "index.html")
    assert [run.id for run in made.runs] == [f"reference/1.0/{suite.name}"]
    assert "is not between" in made.left_out["reference/1.0/other"]


def test_a_run_of_which_no_board_can_be_made_is_named(tmp_path: Path) -> None:
    """Whatever its values are, those of the others have their places."""
    values: dict[Key, float] = {
        ("p", method, seed, "", "fidelity_gold", "jsd", ""): value
        for method, value in (("forward_kl", 1.7e308), ("arkd", -1.7e308))
        for seed in (1, 2)
    }
    side = Side(tmp_path, values, "x", "1.0")
    made = {"config": {"test_sets": ["t"]}}
    entry = Entry("x", tmp_path, "reference", side, made)
    assert "cannot be computed" in boards._wrong(entry, tmp_path / "index.html")


def test_a_run_on_devices_without_end_is_left_out(tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "arkd"))
    drawn(suite, tmp_path, rows_of(suite))
    other = suite.model_copy(update={"name": "other"})
    drawn(other, tmp_path, rows_of(other), device="cuda", training={"devices": 10**400})
    made = boards.build(tmp_path, tmp_path / "index.html")
    assert "config.training.devices" in made.left_out["reference/1.0/other"]


def test_a_suite_without_a_description_has_a_board(tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "arkd"))
    drawn(suite, tmp_path, rows_of(suite), description="")
    page.write(tmp_path, tmp_path / "board")
    text = (tmp_path / "board" / page.PAGE).read_text(encoding="utf-8")
    assert '<p class="caption"></p>' in text


def test_what_a_form_says_of_a_run_is_shown(found: dict[str, Any], out: Path) -> None:
    (theirs,) = [run for run in found["runs"] if run["origin"] == "submission"]
    said = filled_form()
    person = said["who"][0]
    assert theirs["who"] == f"{person['name']} ({person['affiliation']})"
    assert (theirs["paper"], theirs["hardware"]) == (said["paper"], said["hardware"])
    text = (out / page.PAGE).read_text(encoding="utf-8")
    for shown in (theirs["who"], said["hardware"], f'<a href="{said["paper"]}">'):
        assert shown in text
    assert not re.search(rf"[\">]{re.escape(person['contact'])}[\"<]", text)


def test_a_submission_from_another_core_joins_by_its_own_effects(found: dict[str, Any]) -> None:
    runs = {run["id"]: run for run in found["runs"]}
    theirs = runs["submissions/theirs/longtail"]
    assert theirs["core"] == "feedfeedfeedfeed"
    assert theirs["core_differs"] is True
    assert runs["reference/1.0/longtail"]["core_differs"] is False
    rows = board(found, "longtail")["rows"]
    mine, foreign = (
        next(row for row in rows if row["run"] == theirs["id"] and row["method"] == method)
        for method in ("reverse_kl", FOREIGN)
    )
    assert foreign["effects"] == mine["effects"]  # its records are that row's, under its own name
    assert foreign["foreign"] is True
    # Forward KL is zero in each run, and stands once.
    assert sum(row["method"] == "forward_kl" for row in rows) == 1


def test_a_run_without_forward_kl_is_left_out_and_told(found: dict[str, Any]) -> None:
    assert found["left_out"].keys() == {"reference/1.0/smoke"}
    assert "forward_kl" in found["left_out"]["reference/1.0/smoke"]


def test_a_damaged_submission_stops_nobody_else(results: Path, tmp_path: Path) -> None:
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    (copy / "submissions" / "theirs" / "longtail" / "submission.yaml").write_text("name: theirs\n")
    assert cli.main(["leaderboard", "--results", str(copy)]) == 0
    made = json.loads((copy / "leaderboard" / page.JSON).read_text())
    assert "this key is required" in made["left_out"]["submissions/theirs/longtail"]
    assert {run["id"] for run in made["runs"]} == {
        "reference/1.0/longtail", "reference/1.0/smollm2-quick"
    }  # fmt: skip


@pytest.mark.parametrize("inside", [f"{PAIR},foreign:other", "another-pair,foreign:theirs"])
def test_records_of_another_row_than_their_place_says_leave_their_run_out(
    inside: str, results: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    run = copy / "submissions" / "theirs" / "longtail"
    home = run / "foreign" / "theirs" / PAIR / "evaluation"
    text = (home / "records.csv").read_text().replace(f"{PAIR},{FOREIGN}", inside)
    (home / "records.csv").write_text(text)
    made = json.loads((home / "manifest.json").read_text())
    made["outputs"]["records.csv"] = sha256_file(home / "records.csv")
    (home / "manifest.json").write_text(json.dumps(made))
    assert cli.main(["leaderboard", "--results", str(copy)]) == 0
    board = json.loads((copy / "leaderboard" / page.JSON).read_text())
    where = f"lies where {PAIR}/{FOREIGN} belongs, and has records of {inside.replace(',', '/')}"
    assert where in board["left_out"]["submissions/theirs/longtail"]
    assert any(where in text for text in submit.check(run).missing)


@pytest.mark.parametrize("name", page.SIGNS)
def test_files_that_are_no_leaderboards_are_left_alone(
    results: Path, tmp_path: Path, name: str
) -> None:
    page.write(results, tmp_path)
    page.write(results, tmp_path)  # over its own
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()} | {name: b"mine"}
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(ArkdError, match=f"{name}: would be replaced, and is not known to be ours"):
        page.write(results, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_json_is_as_the_committed_schema_has_it(found: dict[str, Any]) -> None:
    assert SCHEMA.read_text(encoding="utf-8") == board_form.schema()
    schema = json.loads(board_form.schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(found)
    assert not validator.is_valid(found | {"boards": [{}]})


def test_csv_says_what_json_says(found: dict[str, Any], out: Path) -> None:
    with (out / page.CSV).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    effects = {
        (board["suite"], row["run"], row["method"], measure): effect["mean"]
        for board in found["boards"]
        for row in board["rows"]
        for measure, effect in row["effects"].items()
    }
    assert len(rows) == len(effects)
    for row in rows:
        key = (row["suite"], row["run"], row["method"], row["measure"])
        assert float(row["effect"]) == pytest.approx(effects[key], rel=1e-9, abs=1e-12)


def test_the_same_runs_give_the_same_bytes(results: Path, out: Path, tmp_path: Path) -> None:
    again = tmp_path / "results"
    shutil.copytree(results, again)
    shutil.rmtree(again / "leaderboard")
    page.write(again, again / "leaderboard")
    for name in (page.PAGE, page.JSON, page.CSV):
        assert (again / "leaderboard" / name).read_bytes() == (out / name).read_bytes(), name


def test_links_of_the_page_lead_to_the_runs_and_markup_of_others_is_text(out: Path) -> None:
    text = (out / page.PAGE).read_text(encoding="utf-8")
    links = {link for link in re.findall(r'href="([^"#]+)"', text) if "://" not in link}
    for link in links - {"data:,"}:
        assert (out / link).exists(), link
    ids = set(re.findall(r'id="([^"]+)"', text))
    assert {link[1:] for link in re.findall(r'href="(#[^"]+)"', text)} <= ids
    assert "&lt;b&gt;Their&lt;/b&gt;" in text
    assert "<b>Their</b>" not in text


def test_published_numbers_stand_apart(found: dict[str, Any], out: Path) -> None:
    text = (out / page.PAGE).read_text(encoding="utf-8")
    ranked, _, after = text.partition('<h2 id="published">')
    assert "none is ranked with the rows above" in after
    assert "gpt2-1.5B-120M" in after
    assert "gpt2-1.5B-120M" not in ranked
    assert {board["suite"] for board in found["boards"]} == {"longtail", "smollm2-quick"}


def shown(browser: Browser) -> list[str]:
    code = "rows.filter(r => r.offsetParent !== null).map(r => r.dataset.method)"
    names: list[str] = browser.run(code)
    return names


@pytest.mark.skipif(
    BROWSER is None, reason="no Chromium here: `apt-get install chromium` for this test"
)
def test_filters_work_without_a_server(out: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile") as browser:
        browser.open(out / page.PAGE)
        assert browser.complaints() == []
        assert browser.requests() == []
        every = shown(browser)
        assert {"arkd", "seqkd", "init", FOREIGN} <= {*every}

        def choose(name: str, value: str) -> list[str]:
            browser.run(
                f"$('{name}').value = '{value}'; $('{name}').dispatchEvent(new Event('change'))"
            )
            return shown(browser)

        assert {*choose("prefixes", "student")} == {"forward_kl", FOREIGN}
        assert {*choose("prefixes", "teacher")} == {"forward_kl", "seqkd"}
        choose("prefixes", "")
        assert {*choose("family", "prefix")} >= {"forward_kl", "contrastive", FOREIGN}
        choose("family", "")
        assert {*choose("origin", "submission")} == {"forward_kl", "reverse_kl", FOREIGN}
        choose("origin", "")
        few = choose("suite", "smollm2-quick")
        assert {*few} == {"forward_kl", "reverse_kl", "arkd", "init"}
        choose("suite", "")
        heading = (
            "[...document.querySelectorAll('.measure h3')].find(h => h.offsetParent).textContent"
        )
        choose("measure", "jsd")
        assert "JSD" in browser.run(heading)
        browser.run("$('words').value = 'seqkd'; $('words').dispatchEvent(new Event('input'))")
        assert {*shown(browser)} == {"forward_kl", "seqkd"}
        assert "words=seqkd" in browser.run("location.hash")
        for width in (1280, 390):
            browser.open(out / page.PAGE, width)
            assert browser.run("document.documentElement.scrollWidth") <= width
