"""`arkd add`: a further row beside a finished run, which stays as it is to the byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, snakemake

from arkd.audit.verify import verify
from arkd.cli import add_rows
from arkd.cli import main as cli
from arkd.errors import ArkdError
from arkd.exchange.held import kept
from arkd.plan.jobs import Assumed, jobs
from arkd.storage import provenance
from arkd.storage.files import read_json, sha256_file, write_json
from arkd.storage.manifest import hash_tree
from arkd.storage.records import read_csv
from arkd.suite.folders import stages, tree
from arkd.suite.job_list import job_list
from arkd.suite.jobs import config_slice
from arkd.suite.load import load_suite

ROW = "fixed_mix@alpha=0.25"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results with the manifests of a finished run of smoke, and nothing else."""
    monkeypatch.chdir(tmp_path)
    base = tree("smoke", "results")
    caches = [base.cache("fixture", name) for name in ("gold", "teacher", "prefixes")]
    for folder in (*stages(base), *caches, base.cache("fixture", "student", 1)):
        write_json(folder / "manifest.json", manifest(base.root, folder))
    (base.root / "records.csv").write_text("")
    top = {"stage": "collect", "config": base.suite.model_dump(mode="json")}
    write_json(base.root / "manifest.json", top)
    return Path("results")


def manifest(root: Path, folder: Path) -> dict[str, Any]:
    """What a stage of smoke would say of itself, as far as it is asked."""
    parts = folder.relative_to(root).parts
    axes = {"pair": parts[0], "method": parts[1]} if len(parts) > 1 else {"pair": "", "method": ""}
    kinds = {"data": "data", "tokens": "tokens", "evaluation": "evaluate"}
    stage = kinds.get(parts[-1], "cache" if "cache" in parts else "distill")
    if stage == "distill":
        stage = {"teacher": "teacher", "init": "init", "untrained": "init"}.get(parts[1], stage)
    if stage != "distill":
        axes["method"] = ""
    slice_ = config_slice(load_suite("smoke"), stage, *axes.values())
    made = {"stage": stage, "suite": "smoke", "suite_version": "1.0", "config": slice_, **axes}
    made |= {"core": provenance.core_hash(stage), "versions": provenance.versions()}
    return made | {"inputs": {}, "outputs": {}, "notes": {}, "host": {}, "wall_s": 1, "peak_mib": 1}


def add(*settings: str, method: str = "fixed_mix", to: str = "smoke") -> Path:
    return add_rows.add(method, settings, to, "results")


@pytest.mark.usefixtures("results")
def test_rows_are_listed_in_a_file_beside_the_suite() -> None:
    path = add("alpha=0.25")
    assert path == Path("smoke-plus.yaml")
    text = path.read_text()
    assert text.endswith("methods:\n  - {name: fixed_mix, alpha: 0.25}\n")
    assert add("alpha=0.25") == path
    assert path.read_text() == text
    assert add(method="sft", to="smoke-plus.yaml") == path
    assert path.read_text() == text + "  - {name: sft}\n"
    suite, base = load_suite(str(path)), load_suite("smoke")
    assert list(suite.rows_by_label) == [*base.rows_by_label, ROW, "sft"]
    assert suite.beside == "smoke"
    assert suite.version == base.version
    assert suite.data == base.data


def test_a_cache_that_the_run_lacks_is_made_beside_it(results: Path) -> None:
    shutil.rmtree(results / "smoke" / "fixture" / "cache" / "teacher")
    made = tree(str(add(method="seqkd")), results)
    assert [job.name for job in job_list(made)][:2] == [
        "teacher cache teacher",
        "distill seqkd seed 1",
    ]
    assert made.cache("fixture", "teacher") == results / "smoke-plus/fixture/cache/teacher"
    kinds = [(job.stage, job.names, job.count) for job in jobs(made, Assumed())[0]]
    assert kinds == [
        ("teacher_cache", ("teacher",), 1),
        ("distill", ("seqkd",), 1),
        ("evaluate", ("seqkd",), 1),
        ("collect, tables, claims, figures, report", (), 5),
    ]


def test_only_the_further_row_is_left_to_run(results: Path) -> None:
    made = tree(str(add("alpha=0.25")), results)
    assert [job.name for job in job_list(made)] == [
        f"distill {ROW} seed 1",
        f"evaluate {ROW}",
        *("collect", "tables", "claims", "figures", "report"),
    ]
    assert made.data == results / "smoke" / "data"
    assert made.training("fixture", "arkd", 1) == results / "smoke/fixture/arkd/seed1/training"
    assert made.evaluation("fixture", ROW) == results / "smoke-plus/fixture" / ROW / "evaluation"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["skw_kl"], "no method 'skw_kl' (did you mean 'skew_kl'?)"),
        (["skew_kl", "skew"], "skew: KEY=VALUE is wanted"),
        (["skew_kl", "skw=0.2"], "unknown parameter 'skw' (did you mean 'skew'?)"),
        (["skew_kl", "skew=much"], "skew: "),
        (["arkd"], "methods: arkd stands twice"),
        (["other.py"], "other.py: not the file of a method"),
        (["sft", "seeds=0"], "add: seeds: "),
        (["akl", "name=sft"], "add: name is the method's, which comes first"),
        (["skew_kl", "skew=0.1", "skew=0.2"], "add: skew stands twice"),
    ],
)
def test_a_row_that_will_not_do_is_one_line_and_leaves_no_file(
    results: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["add", *words, "--to", "smoke"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == [results.name]


def test_a_run_that_rows_cannot_stand_beside_is_refused(results: Path) -> None:
    root = results / "smoke"

    def refused(message: str) -> None:
        with pytest.raises(ArkdError, match=message):
            add("alpha=0.25")
        assert not Path("smoke-plus.yaml").exists()

    def changed(path: Path, **facts: Any) -> None:
        whole = path.read_text()
        write_json(path, json.loads(whole) | facts)
        undone.append((path, whole))

    undone: list[tuple[Path, str]] = []
    config = read_json(root / "manifest.json")["config"]
    changed(root / "manifest.json", config=config | {"max_tokens": 95})
    refused(r"results/smoke: run with other max_tokens than smoke has now; run it again: arkd run")
    changed(root / "manifest.json", config=config | {"unheard": 1})
    refused("another version of arkd made this run")
    for path, whole in reversed(undone):
        path.write_text(whole)
    training = root / "fixture" / "arkd" / "seed1" / "training" / "manifest.json"
    changed(training, core="0123456789abcdef")
    refused(r"seed1/training: made by core 0123456789abcdef, and this is .*never mixed")
    training.write_text(undone[-1][1])
    changed(training, config={})
    refused("seed1/training: made by other settings")
    training.write_text(undone[-1][1])
    (root / "fixture" / ROW).mkdir()
    refused("left of a run of other rows")
    (root / "fixture" / ROW).rmdir()
    training.unlink()
    refused("no such file")
    (root / "manifest.json").unlink()
    refused("no finished run of smoke to stand beside; make it: arkd run smoke")


def test_the_command_of_a_remedy_names_file_world_and_results(results: Path) -> None:
    Path("mine.yaml").write_text("extends: smoke\nname: mine\n")
    Path("w.yaml").write_text("extends: longtail-2\nname: w\n")
    Path("p.yaml").write_text("beside: w.yaml\nname: p\nmethods: [{name: skew_kl, skew: 0.3}]\n")

    def remedy(suite: str, folder: str) -> str:
        with pytest.raises(ArkdError) as caught:
            add_rows.add("sft", [], suite, folder)
        return str(caught.value).rpartition(": ")[2]

    assert remedy("./mine.yaml", "results") == "arkd run mine.yaml"
    assert remedy("mine.yaml", "./my r/") == "arkd run mine.yaml --results 'my r'"
    assert remedy("p.yaml", "r") == "arkd run w.yaml@4101 --results r"
    training = results / "smoke" / "fixture" / "arkd" / "seed1" / "training" / "manifest.json"
    write_json(training, read_json(training) | {"core": "0123456789abcdef"})
    again = f"snakemake --snakefile {ROOT}/workflow/Snakefile --cores all --config "
    with pytest.raises(ArkdError) as caught:
        add("alpha=0.25")
    assert str(caught.value).endswith(f"anew: {again}suites='[smoke]' results=results --forceall")


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beside: smoke\nname: a\nmethods: [sft]\nseeds: [1]\n", "seeds: a suite beside another"),
        ("beside: smoke\nname: a\n", "methods: a list of further rows is wanted"),
        ("beside: smoke\nmethods: [sft]\n", "name: a suite that stands beside another needs"),
        ("beside: b.yaml\nname: a\nmethods: [jsd]\n", "b has its rows beside smoke; add them"),
    ],
)
def test_what_such_a_file_says_beyond_its_rows_is_refused(text: str, message: str) -> None:
    Path("b.yaml").write_text("beside: smoke\nname: b\nmethods: [sft]\n")
    Path("a.yaml").write_text(text)
    with pytest.raises(ArkdError, match=message):
        load_suite("a.yaml")


@pytest.mark.heavy
def test_a_real_run_is_read_and_stays_as_it_is(
    smoke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    before = hash_tree(tmp_path / "smoke")
    monkeypatch.chdir(tmp_path)
    path = add_rows.add("fixed_mix", ["alpha=0.25"], "smoke", str(tmp_path))
    done = snakemake(tmp_path, "--nolock", suite=str(path.absolute()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert hash_tree(tmp_path / "smoke") == before
    root = tmp_path / "smoke-plus"
    assert [folder.name for folder in (root / "fixture").iterdir()] == [ROW]
    rows = read_csv(root / "records.csv")
    assert {row["suite"] for row in rows} == {"smoke-plus"}
    old = [row | {"suite": "smoke"} for row in rows if row["method"] != ROW]
    assert old == read_csv(tmp_path / "smoke" / "records.csv")
    assert f"| {ROW} | 1 |" in (root / "tables" / "summary.md").read_text()
    file = "baselines/fixed_mix.py"
    assert read_json(root / "manifest.json")["beside"] == {
        "suite": "smoke",
        "manifest": sha256_file(tmp_path / "smoke" / "manifest.json"),
        "added": {ROW: {file: sha256_file(ROOT / file)}},
    }
    assert not verify(root).problems
    assert not verify(tmp_path / "smoke").problems
    answers = {name.split("/")[1] for name in kept(root) if name.endswith("/samples.jsonl")}
    assert answers == {"teacher", "init", "untrained", "contrastive", "arkd", ROW}
    assert cli.main(["status", str(path), "--results", str(tmp_path)]) == 0
