"""`arkd merge` gives the folder that one person would have had who had run everything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from run_folders import read, rows_for, suite_file, write_run
from simulate import COLUMNS, failed_row, suite_of

from arkd.audit.merge import merge
from arkd.audit.verify import verify
from arkd.cli import main as cli
from arkd.errors import ArkdError
from arkd.storage.files import sha256_file
from arkd.storage.records import write_csv
from arkd.suite.load import load_suite
from arkd.suite.suite import Suite
from arkd.suite.workflow import Suites

METHODS = ("forward_kl", "reverse_kl", "fixed_mix", "arkd")
JOINED = ("records.csv", "items.csv", "trajectories.csv")
PAIR = "llama-0.5M-0.1M"
EVERYTHING = rows_for(suite_of(METHODS, seeds=(1, 2, 3, 4, 5, 6)))


def ran(
    root: Path, methods: Sequence[str] = METHODS, seeds: Sequence[int] = (1, 2), **changes: Any
) -> Path:
    """Return the folder of somebody's runs; all draw on the same records."""
    made = {key: changes.pop(key) for key in ("teacher",) if key in changes}
    suite = suite_of(methods, seeds=tuple(seeds), **changes)
    return write_run(suite, root, EVERYTHING, **made)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of two people, seeds 1 and 2 in `a`, 3 and 4 in `b`; copied and never changed."""
    folder = tmp_path_factory.mktemp("both")
    ran(folder / "a")
    ran(folder / "b", seeds=(3, 4))
    return folder


@pytest.fixture
def parts(both: Path, tmp_path: Path) -> list[Path]:
    """A copy of those runs that a test may change."""
    shutil.copytree(both, tmp_path, dirs_exist_ok=True)
    return [tmp_path / name / "longtail" for name in ("a", "b")]


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest, keeping its form."""
    made = json.loads(path.read_text(encoding="utf-8"))
    change(made)
    path.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def suite_in(root: Path) -> Suite:
    """Return the suite that the merged folder's own file describes."""
    suite = load_suite(str(root / "suite.yaml"))
    assert (
        suite.model_dump(mode="json") == json.loads((root / "manifest.json").read_text())["config"]
    )
    return suite


def assert_joined_like(merged: Path, whole: Path) -> None:
    """Compare what does not hold times, byte for byte."""
    for name in JOINED:
        assert (merged / name).read_bytes() == (whole / name).read_bytes(), name


def keys(path: Path) -> list[tuple[str, ...]]:
    """Return what names the lines of a cost.csv, evaluations apart."""
    columns = ("pair", "method", "seed", "stage")
    return [tuple(r[c] for c in columns) for r in read(path) if r["stage"] != "evaluate"]


def test_the_seeds_of_two_people_are_those_of_one(tmp_path: Path) -> None:
    whole = ran(tmp_path / "whole", seeds=(1, 2, 3, 4, 5, 6))
    parts = [ran(tmp_path / "b", seeds=(4, 5, 6)), ran(tmp_path / "a", seeds=(1, 2, 3))]
    merged = merge(tmp_path / "out", parts)
    assert_joined_like(merged, whole)
    suite = suite_in(merged)
    assert suite.seeds == (1, 2, 3, 4, 5, 6)
    assert suite == suite_of(METHODS, seeds=(1, 2, 3, 4, 5, 6))
    assert keys(merged / "cost.csv") == keys(whole / "cost.csv")


def test_the_methods_of_three_people_are_those_of_one(tmp_path: Path) -> None:
    whole = ran(tmp_path / "whole", ("forward_kl", "fixed_mix", "arkd", "reverse_kl"))
    parts = [
        ran(tmp_path / "a", ("forward_kl", "fixed_mix")),
        ran(tmp_path / "b", ("arkd",)),
        ran(tmp_path / "c", ("fixed_mix", "reverse_kl")),  # one of them a second time
    ]
    merged = merge(tmp_path / "out", parts)
    assert_joined_like(merged, whole)
    assert (
        suite_in(merged).methods
        == suite_of(("forward_kl", "fixed_mix", "arkd", "reverse_kl")).methods
    )
    assert keys(merged / "cost.csv") == keys(whole / "cost.csv")


def test_a_method_of_fewer_seeds_keeps_them(tmp_path: Path) -> None:
    whole = ran(tmp_path / "whole", ("forward_kl", "arkd@seeds=2"), (1, 2, 3, 4))
    parts = [ran(tmp_path / "a", ("forward_kl",), (1, 2, 3, 4)), ran(tmp_path / "b", ("arkd",))]
    merged = merge(tmp_path / "out", parts)
    assert_joined_like(merged, whole)
    suite = suite_in(merged)
    assert suite.seeds_of("forward_kl") == (1, 2, 3, 4)
    assert suite.seeds_of("arkd") == (1, 2)


def test_a_method_of_later_seeds_alone_keeps_those(tmp_path: Path) -> None:
    parts = [
        ran(tmp_path / "a", ("forward_kl", "arkd"), (3, 4)),
        ran(tmp_path / "b", ("forward_kl",), (1, 2)),
    ]
    suite = suite_in(merge(tmp_path / "out", parts))
    assert suite.seeds_of("arkd") == (3, 4)
    assert set(suite.seeds_of("forward_kl")) == {1, 2, 3, 4}
    assert suite.methods[0].seeds is None
    assert suite.methods[1].seeds == 2


def test_methods_that_share_no_seeds_are_merged_only_if_gaps_are_wanted(tmp_path: Path) -> None:
    parts = [
        ran(tmp_path / "a", ("forward_kl",), (1, 2, 3)),
        ran(tmp_path / "b", ("arkd",), (4, 5, 6)),
    ]
    with pytest.raises(ArkdError, match=r"arkd: has seeds 4, 5, 6 and not 1, 2, 3"):
        merge(tmp_path / "out", parts)
    assert not (tmp_path / "out").exists()
    merged = merge(tmp_path / "out", parts, partial=True)
    suite = suite_in(merged)
    assert suite.seeds_of("forward_kl") == (1, 2, 3)
    assert suite.seeds_of("arkd") == (1, 2, 3, 4, 5, 6)
    words = ["tables", "--suite", str(merged / "suite.yaml"), "--results", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert cli.main([*words, "--partial"]) == 0
    (row,) = [r for r in read(merged / "tables" / "table1.csv") if r["method"] == "arkd"]
    (count,) = [value for key, value in row.items() if key.endswith(" n")]
    assert count == "3"


@pytest.mark.heavy  # all figures and a report
def test_tables_verdicts_figures_and_report_work_on_the_merged_folder(tmp_path: Path) -> None:
    whole = ran(tmp_path / "whole", seeds=(1, 2, 3, 4), name="mine")
    parts = [
        ran(tmp_path / "a", seeds=(1, 2), name="mine"),
        ran(tmp_path / "b", seeds=(3, 4), name="mine"),
    ]
    out = tmp_path / "merged"
    assert cli.main(["merge", str(out), *map(str, parts)]) == 0
    file = suite_file(suite_of(METHODS, seeds=(1, 2, 3, 4), name="mine"), tmp_path)
    assert cli.main(["tables", "--suite", str(file), "--results", str(whole.parent)]) == 0
    for command in ("tables", "claims", "figures", "report"):
        words = [command, "--suite", str(out / "mine" / "suite.yaml"), "--results", str(out)]
        assert cli.main(words) == 0
    made = {path.name for path in (out / "mine" / "tables").iterdir()}
    assert made == {path.name for path in (whole / "tables").iterdir()}
    timed = {f"cost.{suffix}" for suffix in ("csv", "md", "tex")} | {"manifest.json"}
    for name in made - timed:
        text = (out / "mine" / "tables" / name).read_bytes()
        assert text == (whole / "tables" / name).read_bytes(), name
    assert read(out / "mine" / "claims" / "claims.csv")
    assert "mine, version 1.0" in (out / "mine" / "report.html").read_text()
    found = verify(out / "mine")
    assert found.problems == {}
    assert {f"{name} of source {n}" for name in JOINED for n in "12"} <= set(found.remade)


def test_a_run_that_several_have_is_there_once(tmp_path: Path) -> None:
    whole = ran(tmp_path / "whole", seeds=(1, 2, 3))
    parts = [ran(tmp_path / "a", seeds=(1, 2)), ran(tmp_path / "b", seeds=(2, 3))]
    merged = merge(tmp_path / "out", parts)
    assert_joined_like(merged, whole)
    assert keys(merged / "cost.csv") == keys(whole / "cost.csv")
    ours = {(r["method"], r["seed"]): r["wall_s"] for r in read(parts[0] / "cost.csv")}
    costs = read(merged / "cost.csv")
    assert all(r["wall_s"] == ours[r["method"], "2"] for r in costs if r["seed"] == "2")


def test_an_evaluation_is_charged_to_everyone_who_brought_seeds(tmp_path: Path) -> None:
    parts = [
        ran(tmp_path / "a", seeds=(1, 2)),
        ran(tmp_path / "b", seeds=(2, 3)),
        ran(tmp_path / "c", seeds=(1, 3)),  # brings nothing new
    ]
    costs = read(merge(tmp_path / "out", parts) / "cost.csv")
    of = {m: sum(r["method"] == m and r["stage"] == "evaluate" for r in costs) for m in METHODS}
    assert set(of.values()) == {2}
    assert sum(r["method"] == "teacher" and r["stage"] == "evaluate" for r in costs) == 1


def test_a_failed_run_stays_one(tmp_path: Path) -> None:
    suite = suite_of(METHODS, seeds=(3, 4))
    rows = [r for r in EVERYTHING if (r["method"], r["seed"]) != ("arkd", 4)]
    failed = {**failed_row(suite, "arkd", 4), "higher_is_better": 0}
    parts = [ran(tmp_path / "a"), write_run(suite, tmp_path / "b", [*rows, failed])]
    merged = merge(tmp_path / "out", parts)
    assert [
        (r["method"], r["seed"]) for r in read(merged / "records.csv") if r["metric"] == "failed"
    ] == [("arkd", "4")]
    assert suite_in(merged).seeds_of("arkd") == (1, 2, 3, 4)


def test_the_manifest_tells_who_ran_what_where(tmp_path: Path) -> None:
    parts = [ran(tmp_path / "a", seeds=(1, 2)), ran(tmp_path / "b", ("arkd",), (1, 2, 3))]

    def elsewhere(made: dict[str, Any]) -> None:
        made["host"] |= {"processor": "another", "system": "Darwin"}
        made["git"] = {"commit": "b" * 40, "dirty": True}

    edit(parts[1] / "manifest.json", elsewhere)
    merged = merge(tmp_path / "out", parts)
    made = json.loads((merged / "manifest.json").read_text())
    here = json.loads((parts[0] / "manifest.json").read_text())
    assert [one["folder"] for one in made["sources"]] == [part.as_posix() for part in parts]
    assert [one["git"]["commit"] for one in made["sources"]] == [here["git"]["commit"], "b" * 40]
    assert [one["host"]["system"] for one in made["sources"]] == [here["host"]["system"], "Darwin"]
    assert made["sources"][1]["runs"][f"{PAIR}/arkd"] == [1, 2, 3]
    assert f"{PAIR}/fixed_mix" not in made["sources"][1]["runs"]
    assert (made["core"], made["training_core"]) == (here["core"], here["training_core"])
    assert made["git"] == {"commit": None, "dirty": True}
    assert made["host"]["processor"] == f"{here['host']['processor']}, another"
    for number, part in enumerate(parts, start=1):
        named = made["inputs"][f"sources/{number}"]
        assert named == sha256_file(part / "manifest.json")


def test_the_models_manifests_are_kept_and_no_model(tmp_path: Path) -> None:
    part = ran(tmp_path / "a")
    merged = merge(tmp_path / "out", [part, ran(tmp_path / "b", ("arkd",), (1, 2))])
    name = f"{PAIR}/fixed_mix/seed2/training/manifest.json"
    for copy in (merged / name, merged / "sources" / "1" / name):
        assert copy.read_bytes() == (part / name).read_bytes()
    assert not list(merged.rglob("*.safetensors"))


def spoil_value(root: Path) -> None:
    """Change one number of the evaluation and everything that names it."""
    for folder in (root / PAIR / "arkd" / "evaluation", root):
        rows = read(folder / "records.csv")
        for row in rows:
            if (row["method"], row["seed"], row["metric"]) == ("arkd", "2", "acc"):
                row["value"] = "0.125"
        write_csv(folder / "records.csv", COLUMNS, rows)
        sha = sha256_file(folder / "records.csv")
        edit(
            folder / "manifest.json",
            lambda made, sha=sha: made["outputs"].update({"records.csv": sha}),
        )
    from arkd.storage.manifest import digest

    named = digest(root / PAIR / "arkd" / "evaluation")
    edit(root / "manifest.json", lambda made: made["inputs"].update({f"{PAIR}/arkd": named}))


def test_the_same_run_with_other_values_is_refused(tmp_path: Path) -> None:
    parts = [ran(tmp_path / "a"), ran(tmp_path / "b")]
    spoil_value(parts[1])
    assert verify(parts[1], again=False).problems == {}
    told = r"records\.csv: .*/arkd/2 differs from .*longtail_mc_head acc 0\.125 against"
    with pytest.raises(ArkdError, match=told):
        merge(tmp_path / "out", parts)
    assert not (tmp_path / "out").exists()


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "version": ({"version": "2.0"}, "suite_version is '2.0', in .* it is '1.0'"),
    "name": ({"name": "mine"}, "suite is 'mine'"),
    "teacher": ({"teacher": "another"}, "evaluated with other teacher than in"),
    "setting": (
        {"decoding": suite_of().decoding.model_copy(update={"top_p": 0.5})},
        r"config\.decoding\.top_p is 0\.5, in .* it is 0\.9",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_was_run_otherwise_is_refused(tmp_path: Path, parts: list[Path], other: str) -> None:
    changes, told = OTHERS[other]
    theirs = ran(tmp_path / "other", seeds=(3, 4), **changes)
    with pytest.raises(ArkdError, match=told):
        merge(tmp_path / "out", [parts[0], theirs])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda made: made.update(core="0" * 16), "core is '0000000000000000'"),
        (lambda made: made.update(training_core="0" * 16), "training_core is '0000000000000000'"),
        (lambda made: made["versions"].update(torch="1.0"), r"versions\.torch is '1\.0'"),
    ],
)
def test_other_code_or_libraries_are_refused(
    tmp_path: Path, parts: list[Path], change: Callable[[dict[str, Any]], None], told: str
) -> None:
    edit(parts[1] / "manifest.json", change)
    with pytest.raises(ArkdError, match=told):
        merge(tmp_path / "out", parts)


def test_runs_of_two_releases_with_one_core_are_merged(tmp_path: Path, parts: list[Path]) -> None:
    edit(parts[1] / "manifest.json", lambda made: made["versions"].update(arkd="9.9.9"))
    assert (merge(tmp_path / "out", parts) / "records.csv").is_file()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda made: made["inputs"].update(method="0" * 64), "arkd has other files than in"),
        (lambda made: made["config"].update(parameters={"gamma": 0.5}), "arkd has other settings"),
    ],
)
def test_two_versions_of_a_method_are_refused(
    tmp_path: Path, parts: list[Path], change: Callable[[dict[str, Any]], None], told: str
) -> None:
    edit(parts[1] / PAIR / "arkd" / "seed3" / "training" / "manifest.json", change)
    with pytest.raises(ArkdError, match=told):
        merge(tmp_path / "out", parts)


def test_a_folder_that_does_not_verify_is_refused(tmp_path: Path, parts: list[Path]) -> None:
    model = parts[1] / PAIR / "arkd" / "seed3" / "training" / "model" / "model.safetensors"
    model.write_text("another model")
    with pytest.raises(ArkdError, match=r"model\.safetensors: not what .* \(1 problem; see"):
        merge(tmp_path / "out", parts)


def test_a_folder_without_models_caches_and_data_can_be_merged(
    tmp_path: Path, parts: list[Path]
) -> None:
    for part in parts:  # as `make reference` keeps it
        shutil.copy(part / "data" / "manifest.json", part / "data.manifest.json")
        shutil.rmtree(part / "data")
        for path in (part / PAIR).rglob("*"):
            if path.is_file() and path.name != "manifest.json":
                path.unlink()
    merged = merge(tmp_path / "out", parts)
    assert_joined_like(merged, ran(tmp_path / "whole", seeds=(1, 2, 3, 4)))
    assert verify(merged, again=False).problems == {}


def test_scores_of_items_that_one_lacks_are_left_out_for_all(
    tmp_path: Path, parts: list[Path]
) -> None:
    (parts[0] / "items.csv").unlink()
    merged = merge(tmp_path / "out", parts)
    assert not (merged / "items.csv").exists()
    assert verify(merged, again=False).problems == {}


def test_a_suite_that_another_version_of_arkd_wrote_is_refused(
    tmp_path: Path, parts: list[Path]
) -> None:
    for part in parts:
        edit(
            part / "manifest.json",
            lambda made: made.update(core="0" * 16, config=made["config"] | {"old_key": 1}),
        )
    with pytest.raises(ArkdError, match=r"a/longtail/manifest\.json: config\.old_key: another"):
        merge(tmp_path / "out", parts)


def test_merged_folders_are_not_merged_again(tmp_path: Path, parts: list[Path]) -> None:
    merged = merge(tmp_path / "out", parts)
    with pytest.raises(ArkdError, match=f"merged already; .*{parts[0]}, {parts[1]}"):
        merge(tmp_path / "again", [merged, ran(tmp_path / "c", seeds=(5, 6))])


def test_merged_runs_are_not_run(
    tmp_path: Path, parts: list[Path], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Their records would be replaced by those of a run of one's own."""
    monkeypatch.chdir(tmp_path)
    root = merge(Path("merged"), parts)
    words = [str(root / "suite.yaml"), "--results", "merged"]
    assert cli.main(["status", *words]) == 0
    assert (
        capfd.readouterr().out == "longtail 1.0 in merged/longtail: merged runs; no job is left\n"
    )
    said = f"{root}: merged runs, of which nothing is left to run; give other --results to run"
    for typed in (words, ["longtail", "--results", "merged/"]):
        assert cli.main(["run", *typed, "--dry-run"]) == 2
        error = capfd.readouterr().err
        assert error.startswith(f"arkd: error: {said}")
        assert error.count("\n") == 1
    with pytest.raises(SystemExit, match=said):
        Suites.of({"suites": [words[0]], "results": "merged"}, None)


def test_nothing_that_stands_there_is_overwritten(tmp_path: Path, parts: list[Path]) -> None:
    with pytest.raises(ArkdError, match="there already"):
        merge(tmp_path / "a", parts)
    with pytest.raises(ArkdError, match="two folders or more"):
        merge(tmp_path / "out", parts[:1])


def test_a_changed_byte_of_a_merged_folder_is_found(tmp_path: Path, parts: list[Path]) -> None:
    merged = merge(tmp_path / "out", parts)
    training = f"{PAIR}/arkd/seed3/training/manifest.json"
    for name in (*JOINED, "cost.csv", "suite.yaml", "sources/2/manifest.json", training):
        whole = (merged / name).read_bytes()
        (merged / name).write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
        assert merged / name in verify(merged, again=False).problems, name
        (merged / name).write_bytes(whole)
    assert verify(merged, again=False).problems == {}


@pytest.mark.parametrize("name", JOINED)
def test_a_line_changed_with_its_hash_is_not_what_a_source_had(
    tmp_path: Path, parts: list[Path], name: str
) -> None:
    merged = merge(tmp_path / "out", parts)
    *lines, last = (merged / name).read_text().splitlines(keepends=True)
    (merged / name).write_text("".join([*lines, last.replace("1", "2")]))
    sha = sha256_file(merged / name)
    edit(merged / "manifest.json", lambda made: made["outputs"].update({name: sha}))
    assert set(verify(merged, again=False).problems) == {merged / name}


def test_a_merged_folder_that_names_fewer_sources_than_it_keeps_does_not_verify(
    tmp_path: Path,
) -> None:
    merged = merge(tmp_path / "out", [ran(tmp_path / "a"), ran(tmp_path / "b", seeds=(3, 4))])
    edit(merged / "manifest.json", lambda made: made.update(sources=[]))
    problems = verify(merged, again=False).problems
    assert "names 0 sources and keeps 2" in problems[merged / "manifest.json"]
