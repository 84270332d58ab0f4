"""The workflow as a user runs it: whole, repeatable, and rerun where something changed."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import PATIENCE_S, ROOT, heed_interrupts, snakemake

from arkd.errors import ArkdError
from arkd.stages import distill as method_stages
from arkd.stages import evaluate as evaluation_stage
from arkd.stages.cache import cache
from arkd.stages.collect import collect
from arkd.storage.files import sha256_file
from arkd.storage.manifest import hash_tree
from arkd.storage.provenance import core_hash
from arkd.suite import folders
from arkd.suite import jobs as workflow
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite

DIVERGENCES = ("fkl", "rkl", "jsd", "tvd")
CONTROLS = ("teacher", "init", "untrained")


@pytest.fixture(scope="module")
def tree(smoke: Path) -> Tree:
    return Tree(smoke, load_suite("smoke"))


@pytest.fixture
def copy(smoke: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    target = tmp_path / "results"
    subprocess.run(["cp", "-a", str(smoke), str(target)], check=True)
    return target


def records(root: Path) -> list[dict[str, str]]:
    with (root / "smoke" / "records.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


@contextmanager
def edited(stage: Path) -> Iterator[dict]:
    """Yield the manifest of a stage's folder and write it back as the test left it."""
    path = stage / "manifest.json"
    manifest = json.loads(path.read_text())
    yield manifest
    path.write_text(json.dumps(manifest))


def planned(results: Path, *options: str, project: Path = ROOT) -> dict[str, int]:
    """Jobs that a dry run would do, by rule."""
    done = snakemake(results, "--nolock", "--dry-run", *options, project=project)
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.partition("job")[2].partition("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


def test_the_run_leaves_records_tables_figures_and_a_report(smoke: Path) -> None:
    root = smoke / "smoke"
    for name in ("records.csv", "cost.csv", "manifest.json", "report.html"):
        assert (root / name).stat().st_size > 0
    for name in ("table1", "table2", "weighted", "tail", "bins", "truth", "recall", "cost"):
        for suffix in ("csv", "md", "tex"):
            text = (root / "tables" / f"{name}.{suffix}").read_text()
            assert "nan" not in text.lower()
            assert "–" not in text.replace("2–10", "").replace("11–100", "")
    for name in ("alpha", "dynamics", "ranks", "head_tail"):
        assert (root / "figures" / f"{name}.svg").is_file()
        assert (root / "figures" / f"{name}.png").is_file()


def test_every_method_and_control_has_every_number(smoke: Path, tree: Tree) -> None:
    rows = records(smoke)
    methods = {row["method"] for row in rows}
    assert methods == {*CONTROLS, *(entry.label for entry in tree.suite.entries)}
    measured = {m: {(r["task"], r["metric"]) for r in rows if r["method"] == m} for m in methods}
    assert all(found == measured["teacher"] for found in measured.values())
    assert all(row["value"] not in ("", "nan", "inf") for row in rows)


def test_numbers_lie_where_they_must(smoke: Path) -> None:
    for row in records(smoke):
        value, metric = float(row["value"]), row["metric"]
        if metric.startswith(("fkl", "rkl")):
            assert value >= 0, row
        if metric.startswith(("tail_recall", "tail_precision", "agreement", "acc", "truth_error")):
            assert 0 <= value <= 1, row
        if metric == "rouge_l":
            assert 0 <= value <= 100, row


def test_the_teacher_is_best_and_the_untrained_student_worst(smoke: Path) -> None:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in records(smoke):
        if row["metric"] in DIVERGENCES and row["group"] == "":
            key = (row["task"], row["metric"])
            found.setdefault(key, {})[row["method"]] = float(row["value"])
    assert len(found) == 4 * 4
    for values in found.values():
        assert values["teacher"] == min(values.values()) < 1e-5
        assert values["untrained"] == max(values.values())


def test_arkd_logs_its_policy_at_each_step(tree: Tree) -> None:
    path = tree.training("fixture", "arkd", 1) / "trajectory.csv"
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["step"]) for row in rows] == list(range(20))
    for row in rows:
        alpha, fkl, rkl = (float(row[name]) for name in ("alpha", "fkl", "rkl"))
        assert 0 < alpha < 1
        assert float(row["reward"]) == pytest.approx(-(alpha * fkl + (1 - alpha) * rkl), rel=1e-5)
    logged = {"entropy_teacher", "entropy_student", "variance_teacher", "variance_student"}
    assert logged | {"reward", "baseline", "alpha", "fkl", "rkl"} <= set(rows[0])


def test_manifests_lead_from_a_record_to_its_sources(tree: Tree) -> None:
    folder = tree.training("fixture", "arkd", 1)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["outputs"] == hash_tree(folder)
    assert manifest["core"] == core_hash("distill") != core_hash("evaluate")
    assert set(manifest["inputs"]) == {"tokens", "init", "teacher", "gold_responses", "method"}
    for key in ("versions", "git", "host", "config", "wall_s", "peak_mib"):
        assert manifest[key]
    collected = json.loads((tree.root / "manifest.json").read_text())
    assert set(collected["inputs"]) == {f"fixture/{m}" for _, m in folders.methods(tree.suite)}


def test_a_finished_run_has_nothing_to_do(copy: Path) -> None:
    assert planned(copy) == {}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the code that a test may edit: the checkout is the user's, and others read it."""
    folder = tmp_path / "project"
    for name in ("arkd", "baselines", "benchmarks", "workflow"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        if name != "arkd":
            (folder / f"arkd_{name}").symlink_to(name)  # as the installed packages are called
    return folder


def test_editing_a_method_reruns_that_method_alone(copy: Path, project: Path) -> None:
    with (project / "baselines" / "contrastive.py").open("a", encoding="utf-8") as file:
        file.write("# edited\n")
    jobs = planned(copy, project=project)
    assert jobs["distill"] == jobs["evaluate"] == 1
    shown = {"collect", "tables", "claims", "figures", "report"}
    assert set(jobs) == {"all", "distill", "evaluate", *shown}


def test_a_method_s_file_of_an_older_date_is_another_file_all_the_same(
    copy: Path, project: Path
) -> None:
    """As `rsync -a` leaves it, or a backup that is put back."""
    file = project / "baselines" / "contrastive.py"
    file.write_text(file.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    os.utime(file, (0, 0))
    jobs = planned(copy, project=project)
    assert jobs["distill"] == jobs["evaluate"] == jobs["report"] == 1


def test_what_is_gone_is_made_again_though_there_is_a_report(copy: Path, tree: Tree) -> None:
    shutil.rmtree(Tree(copy, tree.suite).training("fixture", "arkd", 1))
    jobs = planned(copy)
    assert jobs["distill"] == jobs["evaluate"] == jobs["report"] == 1


def test_a_stage_of_other_settings_is_made_again_wherever_its_results_lie(
    copy: Path, tree: Tree
) -> None:
    """Snakemake remembers nothing of this place; and such a stage is never collected."""
    folder = Tree(copy, tree.suite).training("fixture", "arkd", 1)
    with edited(folder) as manifest:
        manifest["config"]["distillation"]["lr"] *= 2
    jobs = planned(copy)
    assert jobs["distill"] == jobs["evaluate"] == jobs["report"] == 1
    with pytest.raises(ArkdError, match="seed1/training: its settings have changed since it was"):
        collect(Tree(copy, tree.suite))


def test_an_evaluation_of_another_training_is_not_collected(copy: Path, tree: Tree) -> None:
    there = Tree(copy, tree.suite)
    with edited(there.training("fixture", "arkd", 1)) as manifest:
        manifest["outputs"]["model/model.safetensors"] = "0" * 64
    with pytest.raises(ArkdError, match=r"arkd/evaluation: .*/seed1/training has changed since it"):
        collect(there)


def test_what_was_made_from_another_stage_is_made_again_whatever_the_dates(
    copy: Path, tree: Tree
) -> None:
    """As after a run that was killed between the two, and whose folder was then copied."""
    training = Tree(copy, tree.suite).training("fixture", "arkd", 1)
    with edited(training) as manifest:
        manifest["outputs"]["model/model.safetensors"] = "0" * 64
    os.utime(training / "manifest.json", (0, 0))
    jobs = planned(copy)
    assert jobs["evaluate"] == jobs["report"] == 1
    assert "distill" not in jobs


def test_results_that_were_copied_without_their_dates_are_not_made_again(
    copy: Path, tree: Tree
) -> None:
    """In the worst order, and beside a clone whose every file is newer than all of them."""
    there = Tree(copy, tree.suite)
    files = [path for path in there.root.rglob("*") if path.is_file()]
    for age, path in enumerate(sorted(files, key=lambda path: path.stat().st_mtime_ns)):
        os.utime(path, (1e9 - age, 1e9 - age))
    jobs = planned(copy)
    assert set(jobs) <= {"all", "collect", "tables", "claims", "figures", "report"}


def test_changing_a_methods_parameter_reruns_that_method_alone(tmp_path: Path) -> None:
    """Snakemake reruns a job whose slice of the suite changed; these are the slices."""
    path = tmp_path / "own.yaml"
    slices = []
    for alpha in (0.25, 0.75):
        methods = f"[contrastive, arkd, {{name: fixed_mix, alpha: {alpha}}}]"
        path.write_text(f"extends: smoke\nname: own\nmethods: {methods}\n")
        suite = load_suite(str(path))
        label = f"fixed_mix@alpha={alpha}"
        assert label in [entry.label for entry in suite.entries]
        of = {
            (stage, method): workflow.fingerprint(suite, stage, "fixture", method)
            for stage in ("data", "tokens", "teacher", "init", "cache", "evaluate")
            for method in ("contrastive",)
        }
        of |= {m: workflow.fingerprint(suite, "distill", "fixture", m) for m in ("arkd", label)}
        slices.append(of)
    first, second = slices
    own = [key for key in first if key not in second or first[key] != second[key]]
    assert own == ["fixed_mix@alpha=0.25"]


@pytest.mark.parametrize(
    ("folder", "remedy"),
    [
        (lambda tree: tree.tokens("fixture"), "--forceall"),
        (lambda tree: tree.evaluation("fixture", "arkd"), "--forcerun evaluate {prefixes}"),
    ],
)
def test_results_of_two_cores_are_refused(
    copy: Path, folder: Callable[[Tree], Path], remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    tree = Tree(copy, load_suite("smoke"))
    with edited(folder(tree)) as manifest:
        manifest["core"] = "0123456789abcdef"
    before = (tree.root / "records.csv").read_bytes()
    with pytest.raises(ArkdError, match=r"never mixed.*0123456789abcdef") as caught:
        collect(tree)
    prefixes = tree.cache("fixture", "prefixes") / "manifest.json"
    command = f"snakemake --cores all --config suites='[smoke]' results={copy} {remedy}"
    assert str(caught.value).endswith(f"anew: {command.format(prefixes=prefixes)}")
    monkeypatch.chdir(copy)  # where Snakemake finds no workflow
    with pytest.raises(ArkdError, match=f"snakemake --snakefile {ROOT}/workflow/Snakefile --cores"):
        collect(tree)
    assert (tree.root / "records.csv").read_bytes() == before


def test_a_core_hash_changes_with_its_own_code_alone(tmp_path: Path) -> None:
    package = tmp_path / "arkd"
    shutil.copytree(ROOT / "arkd", package)
    code = "from arkd.storage.provenance import core_hash; print(core_hash('distill'), core_hash())"

    def hashes_now() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    def edit(module: str) -> None:
        path = package / module
        path.write_text(path.read_text() + "# edited\n")

    training, all_of_it = hashes_now()
    edit("report/page.py")
    assert hashes_now() == [training, all_of_it]
    edit("metrics/token_fidelity.py")  # a metric: models are what they were
    measured = hashes_now()[1]
    assert hashes_now()[0] == training
    assert measured != all_of_it
    edit("divergence/losses.py")
    assert hashes_now()[0] != training
    assert hashes_now()[1] != measured


def test_a_cache_of_another_teacher_is_refused(copy: Path) -> None:
    tree = Tree(copy, load_suite("smoke"))
    teacher = tree.training("fixture", "teacher", 0)
    (teacher / "model" / "README.md").write_text("another teacher")
    with edited(teacher) as manifest:
        manifest["outputs"]["model/README.md"] = sha256_file(teacher / "model" / "README.md")
    with pytest.raises(ArkdError, match=r"cache/gold: made by another teacher; delete"):
        method_stages.distill(tree, "fixture", "arkd", 1)


def test_nothing_is_built_on_a_teacher_that_failed(copy: Path) -> None:
    tree = Tree(copy, load_suite("smoke"))
    with edited(tree.training("fixture", "teacher", 0)) as manifest:
        manifest["notes"]["failed"] = True
    with pytest.raises(ArkdError, match=r"left the finite numbers.*lower its rate"):
        cache(tree, "fixture", "gold")


def test_costs_hold_every_stage(smoke: Path) -> None:
    with (smoke / "smoke" / "cost.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    stages_ = [row["stage"] for row in rows]
    assert stages_.count("cache") == 3
    assert stages_.count("prefixes") == 1
    assert stages_.count("distill") == 2
    assert stages_.count("evaluate") == 5
    assert {row["method"] for row in rows} == {*CONTROLS, "contrastive", "arkd", "shared"}
    assert all(float(row["wall_s"]) >= 0 and float(row["peak_mib"]) > 0 for row in rows)


def test_costs_tell_what_a_stage_is_for_from_what_it_costs_beside(smoke: Path) -> None:
    with (smoke / "smoke" / "cost.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        trains = row["train_s"] != ""
        assert float(row["startup_s"]) >= 0
        assert 0 <= float(row["proper_s"]) <= float(row["wall_s"])
        assert (float(row["proper_s"]) > 0) == (
            trains or row["stage"] in ("cache", "prefixes", "evaluate")
        )
        assert (row["padding_share"] != "") == trains
        if trains:
            assert float(row["train_s"]) <= float(row["proper_s"]) + 0.002  # rounding
            # One thread: no more than the clock's, but for the ticks in which systems count.
            assert 0 < float(row["train_processor_s"]) <= float(row["train_s"]) + 0.05
            assert 0 <= float(row["padding_share"]) < 0.5
    # The two stages of one process: the second had nothing to start.
    started = {row["method"]: float(row["startup_s"]) for row in rows if row["stage"] == "init"}
    assert started["init"] < 0.5 * started["untrained"]


def test_a_run_that_left_the_finite_numbers_is_shown_as_failed(copy: Path) -> None:
    tree = Tree(copy, load_suite("smoke"))
    with edited(tree.training("fixture", "arkd", 1)) as manifest:
        manifest["notes"]["failed"] = True
    evaluation_stage.evaluate(tree, "fixture", "arkd")
    collect(tree)
    rows = [row for row in records(copy) if row["method"] == "arkd"]
    assert [(row["metric"], row["value"]) for row in rows] == [("failed", "1")]
    from arkd.tables import build as tables

    tables.write(tree.suite, copy, tree.root / "tables")
    assert "failed" in (tree.root / "tables" / "table1.md").read_text()


@pytest.mark.heavy  # the light set has the hashes of test_portable.py
def test_a_second_run_elsewhere_gives_the_same_bytes(smoke: Path, tmp_path: Path) -> None:
    done = snakemake(tmp_path / "again", "--nolock")
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (
        (root / "smoke" / "records.csv").read_bytes() for root in (smoke, tmp_path / "again")
    )
    assert first == second


@pytest.mark.heavy
def test_an_interrupted_workflow_goes_on_from_what_is_done(tmp_path: Path) -> None:
    """Ctrl-C once the first student is trained; the next call finishes without repeating it."""
    results = tmp_path / "results"
    command = ["snakemake", "--cores", "2", "--nolock", "--config", "suites=[smoke]"]
    process = subprocess.Popen(
        [*command, f"results={results}"],
        cwd=ROOT,
        start_new_session=True,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    tokens = results / "smoke" / "fixture" / "tokens" / "manifest.json"
    deadline = time.monotonic() + PATIENCE_S
    while not tokens.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)  # into the next jobs
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode != 0
    made = {path: path.stat().st_mtime_ns for path in results.rglob("manifest.json")}
    assert tokens in made
    assert not list(results.rglob("*.part"))
    done = snakemake(results, "--nolock")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(path.stat().st_mtime_ns == made[path] for path in made)
    assert (results / "smoke" / "report.html").is_file()


@pytest.mark.heavy
def test_jobs_are_looked_for_when_one_has_ended_and_not_each_second(tmp_path: Path) -> None:
    """Snakemake's limit of starts a second costs a search more, each second, for each ended job."""
    pair = tmp_path / "smoke" / "fixture"
    targets = [pair / row / "training" / "manifest.json" for row in ("teacher/seed0", "init/seed1")]
    done = snakemake(tmp_path, "--nolock", "--verbose", "--cores", "1", *map(str, targets))
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(target.is_file() for target in targets)
    # The data, the tokens, one of the two that are ready then, and the other.
    assert done.stderr.count("Ready jobs") == 4, done.stderr
