"""`arkd verify` finds every changed byte, whoever else was changed along with it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from run_folders import rows_for, suite_file, write_run
from simulate import suite_of

from arkd.audit.tolerance import RELATIVE
from arkd.audit.verify import suite_folders, verify
from arkd.cli import main as cli
from arkd.errors import ArkdError
from arkd.storage import checksums
from arkd.storage.files import sha256_file
from arkd.storage.records import read_rows

REFERENCE = ROOT / "results" / "reference"
ANCHORED = sorted(path.parent for path in REFERENCE.rglob(checksums.NAME))
PAIR = "llama-0.5M-0.1M"
METHODS = ("forward_kl", "reverse_kl", "fixed_mix", "arkd")


def long(folder: Path) -> bool:
    """The blocks of 140 models each take minutes, and 320 students a fifth of one."""
    return "@" in folder.name or folder.name == "longtail-full"


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(folder, marks=[pytest.mark.heavy] * long(folder), id=folder.name)
        for folder in ANCHORED
    ],
)
def test_the_reference_results_verify(folder: Path) -> None:
    assert verify(folder).problems == {}


@pytest.mark.parametrize("folder", [f for f in ANCHORED if long(f)], ids=lambda f: f.name)
def test_long_reference_results_have_their_sums(folder: Path) -> None:
    """All but what is made again from them, which alone takes long."""
    assert verify(folder, again=False).problems == {}


def test_every_suite_of_the_reference_is_anchored() -> None:
    suites = {path.parent for path in REFERENCE.glob("*/*/records.csv")}
    assert suites
    assert suites <= set(ANCHORED)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an anchored copy of the reference's longtail; treat it as read-only."""
    copy = tmp_path_factory.mktemp("kept") / "longtail"
    shutil.copytree(REFERENCE / "1.0" / "longtail", copy)
    checksums.write(copy)
    return copy


@pytest.fixture
def kept(original: Path, tmp_path: Path) -> Path:
    """Return an anchored copy of the reference's longtail, to be spoilt."""
    return shutil.copytree(original, tmp_path / "longtail")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run's folder with models, tables and verdicts; treat it as read-only."""
    results = tmp_path_factory.mktemp("results")
    suite = suite_of(METHODS, name="mine")
    write_run(suite, results, rows_for(suite))
    file = suite_file(suite, results.parent)
    for command in ("tables", "claims"):
        assert cli.main([command, "--suite", str(file), "--results", str(results)]) == 0
    return results / "mine"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Return a run's folder, to be spoilt."""
    return shutil.copytree(finished, tmp_path / "mine")


def flip(path: Path, place: int) -> None:
    """Change one bit of one byte."""
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1
    path.write_bytes(bytes(data))


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest, keeping its form."""
    made = json.loads(path.read_text(encoding="utf-8"))
    change(made)
    path.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def name_hash(manifest: Path, key: str, name: str, file: Path) -> None:
    """Make a manifest name the hash that a file has now."""
    edit(manifest, lambda made: made[key].update({name: sha256_file(file)}))


def raise_first_value(records: Path, quantity: str = "") -> None:
    """Raise one value of the records by one."""
    lines = records.read_text().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines[1:], 1) if quantity in line)
    cells = lines[place].split(",")
    cells[9] = f"{float(cells[9]) + 1:.10g}"
    lines[place] = ",".join(cells)
    records.write_text("".join(lines))


def blamed(folder: Path, **options: Any) -> set[str]:
    """Return the files that verification blames, relative to the folder."""
    return {p.relative_to(folder).as_posix() for p in verify(folder, **options).problems}


@pytest.mark.parametrize(
    "name",
    [
        *("records.csv", "trajectories.csv", "cost.csv", "manifest.json", "data.manifest.json"),
        *("tables/summary.csv", "tables/truth.tex", "tables/manifest.json", "claims/claims.csv"),
        *("claims/manifest.json", "report.html", "figures/alpha.svg", "figures/alpha.png"),
        f"{PAIR}/arkd/seed2/training/manifest.json",
        f"{PAIR}/teacher/seed0/training/manifest.json",
        f"{PAIR}/arkd/evaluation/manifest.json",
        f"{PAIR}/cache/gold/manifest.json",
    ],
)
def test_one_changed_byte_of_a_reference_is_found(kept: Path, name: str) -> None:
    whole = (kept / name).read_bytes()
    draw = random.Random(name)
    for place in (0, len(whole) - 1, *(draw.randrange(len(whole)) for _ in range(4))):
        flip(kept / name, place)
        assert name in blamed(kept, again=False), place
        (kept / name).write_bytes(whole)
    assert blamed(kept, again=False) == set()


def test_a_whole_reference_verifies_and_says_what_is_not_kept(kept: Path) -> None:
    found = verify(kept)
    assert found.problems == {}
    assert found.anchored
    assert found.checked == set(checksums.files(kept))
    made = [json.loads(path.read_text()) for path in kept.glob("*/*/seed*/training/manifest.json")]
    of_students = [len(one["outputs"]) for one in made if one["stage"] == "distill"]
    assert found.absent()["distill"] == sum(of_students) > 0
    assert any(text.endswith(" files of tables") for text in found.remade)


def test_the_system_s_own_tool_reads_the_sums(kept: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("this system has no sha256sum: install GNU coreutils")
    command = ["sha256sum", "--check", "--strict", "--quiet", checksums.NAME]
    assert subprocess.run(command, cwd=kept, check=False).returncode == 0
    flip(kept / "report.html", 1000)
    assert subprocess.run(command, cwd=kept, capture_output=True, check=False).returncode == 1


def test_a_file_that_is_missing_or_new_is_found(kept: Path) -> None:
    (kept / "claims" / "claims.md").unlink()
    (kept / "tables" / "mine.md").write_text("a table of my own")
    (kept / "notes.txt").write_text("a file of my own")
    assert blamed(kept, again=False) == {"claims/claims.md", "tables/mine.md", "notes.txt"}


def test_sums_that_are_spoilt_or_lead_out_of_the_folder_are_refused(kept: Path) -> None:
    sums = kept / checksums.NAME
    whole = sums.read_text()
    for text in ("no hash  records.csv\n", f"{'0' * 64}  ../secret\n", whole.splitlines()[0]):
        sums.write_text(whole + text)
        assert blamed(kept, again=False) == {checksums.NAME}


def test_the_chain_finds_a_record_changed_under_new_sums(kept: Path) -> None:
    raise_first_value(kept / "records.csv")
    checksums.write(kept)
    assert blamed(kept) == {"records.csv"}


def test_the_chain_finds_a_record_whose_manifest_was_changed_along(kept: Path) -> None:
    raise_first_value(kept / "records.csv")
    name_hash(kept / "manifest.json", "outputs", "records.csv", kept / "records.csv")
    checksums.write(kept)
    assert blamed(kept) == {"records.csv"}  # tables, verdicts and figures name the old one


def test_recomputation_finds_a_record_changed_with_every_hash_of_it(kept: Path) -> None:
    raise_first_value(kept / "records.csv", ",arkd,1,1,longtail_id,rouge_l,")
    name_hash(kept / "manifest.json", "outputs", "records.csv", kept / "records.csv")
    for name in ("tables", "claims", "figures"):
        name_hash(kept / name / "manifest.json", "inputs", "records", kept / "records.csv")
    checksums.write(kept)
    found = blamed(kept)
    assert {"tables/summary.csv", "tables/table1.md", "tables/table5.tex"} <= found
    assert "tables/cost.csv" not in found
    assert blamed(kept, again=False) == set()  # the hashes alone are all at one


def test_recomputation_finds_a_table_changed_with_its_manifest(kept: Path) -> None:
    table = kept / "tables" / "summary.csv"
    table.write_text(table.read_text().replace("arkd,", "ARKD,"))
    name_hash(kept / "tables" / "manifest.json", "outputs", "summary.csv", table)
    checksums.write(kept)
    assert blamed(kept, again=False) == set()
    assert blamed(kept) == {"tables/summary.csv"}


def test_the_chain_finds_a_model_s_hash_changed_under_new_sums(kept: Path) -> None:
    name = f"{PAIR}/arkd/seed2/training/manifest.json"
    edit(kept / name, lambda made: made["outputs"].update({"model/model.safetensors": "0" * 64}))
    checksums.write(kept)
    assert blamed(kept) == {name}


def test_the_chain_finds_another_evaluation_under_new_sums(kept: Path) -> None:
    name = f"{PAIR}/arkd/evaluation/manifest.json"
    edit(kept / name, lambda made: made["outputs"].update({"records.csv": "0" * 64}))
    checksums.write(kept)
    assert blamed(kept) == {name}


def test_a_whole_run_verifies_and_its_top_is_said_to_be_unanchored(run: Path) -> None:
    found = verify(run)
    assert found.problems == {}
    assert found.absent() == {}
    assert not found.anchored
    assert any(checksums.NAME in note for note in found.notes)
    models = set(run.rglob("*.safetensors"))
    assert len(models) == 5 + 3 * (2 + len(METHODS))  # tokens, teacher, three caches
    assert models <= found.checked
    for name in ("tables", "claims"):
        count = len(list((run / name).glob("[!.]*"))) - 1  # but for the manifest
        assert f"{count} files of {name}" in found.remade


def test_every_file_of_a_real_run_is_hashed_and_every_input_followed(
    smoke: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    found = verify(copy)
    assert found.problems == {}
    assert found.absent() == {}
    given = {"given teacher", "given teacher tokenizer"}
    assert found.outside <= {"tasks", "method", "claims", *given}
    left = {
        path.relative_to(copy).as_posix() for path in set(checksums.files(copy)) - found.checked
    }
    left = {name for name in left if Path(name).name != "manifest.json"}
    assert all(name == "report.html" or name.startswith("report/") for name in left), left
    models = sorted(copy.rglob("model.safetensors"))
    assert models
    for model in models:
        flip(model, model.stat().st_size // 2)
    assert set(verify(copy, again=False).problems) == set(models)


@pytest.mark.parametrize(
    "name",
    [
        *(
            f"{PAIR}/arkd/seed1/training/model/model.safetensors",
            f"{PAIR}/tokens/train.safetensors",
        ),
        *(f"{PAIR}/teacher/seed0/training/model/config.json", "data/train.jsonl"),
        *(f"{PAIR}/arkd/evaluation/samples.jsonl", f"{PAIR}/cache/gold/train.safetensors"),
        *(f"{PAIR}/fixed_mix/seed3/training/trajectory.csv", "items.csv", "records.csv"),
    ],
)
def test_one_changed_byte_of_a_run_is_found_without_sums(run: Path, name: str) -> None:
    size = (run / name).stat().st_size
    for place in range(0, size, max(1, size // 7)):
        flip(run / name, place)
        assert name in blamed(run, again=False), place
        flip(run / name, place)
    assert blamed(run, again=False) == set()


def test_a_model_that_was_removed_is_counted_and_not_passed_over(run: Path) -> None:
    (run / PAIR / "arkd" / "seed1" / "training" / "model" / "model.safetensors").unlink()
    found = verify(run, again=False)
    assert found.problems == {}
    assert found.absent() == {"distill": 1}


def test_a_model_changed_with_its_manifest_contradicts_the_evaluation(run: Path) -> None:
    folder = run / PAIR / "arkd" / "seed1" / "training"
    model = folder / "model" / "model.safetensors"
    flip(model, 0)
    name_hash(folder / "manifest.json", "outputs", "model/model.safetensors", model)
    assert blamed(run) == {f"{PAIR}/arkd/seed1/training/manifest.json"}


def test_records_that_are_not_the_evaluations_are_found_behind_right_hashes(run: Path) -> None:
    for name in ("records.csv", "items.csv"):
        text = (run / name).read_text().splitlines(keepends=True)
        (run / name).write_text("".join([*text[:-1]]))
        name_hash(run / "manifest.json", "outputs", name, run / name)
    shutil.rmtree(run / "tables")
    shutil.rmtree(run / "claims")
    assert blamed(run) == {"records.csv", "items.csv"}


def test_recomputation_finds_a_verdict_changed_with_its_manifest(run: Path) -> None:
    verdicts = run / "claims" / "claims.csv"
    text = verdicts.read_text()
    verdicts.write_text(text.replace("not testable", "supported", 1))
    assert verdicts.read_text() != text
    name_hash(run / "claims" / "manifest.json", "outputs", "claims.csv", verdicts)
    assert blamed(run, again=False) == set()
    assert blamed(run) == {"claims/claims.csv"}


def test_verdicts_by_other_registered_claims_are_hashed_and_said_not_to_be_judged_again(
    run: Path,
) -> None:
    other = hashlib.sha256(b"other claims").hexdigest()
    edit(run / "claims" / "manifest.json", lambda made: made["inputs"].update({"claims": other}))
    found = verify(run)
    assert found.problems == {}
    assert not any("of claims" in text for text in found.remade)
    assert any(other[:12] in note for note in found.notes)


def test_a_table_that_only_later_versions_have_is_told_and_is_no_problem(run: Path) -> None:
    for path in (run / "tables").glob("truth.*"):
        path.unlink()
        edit(run / "tables" / "manifest.json", lambda made, p=path: made["outputs"].pop(p.name))
    found = verify(run)
    assert found.problems == {}
    assert "this version of arkd makes further tables: truth" in found.notes


def test_a_table_that_its_manifest_names_and_is_not_there_is_counted(run: Path) -> None:
    (run / "tables" / "truth.md").unlink()
    found = verify(run)
    assert found.absent() == {"tables": 1}
    assert not any("further" in note for note in found.notes)


def test_a_manifest_that_is_none_any_more_is_named(run: Path) -> None:
    spoilt = {
        f"{PAIR}/arkd/seed1/training/manifest.json": "{",
        f"{PAIR}/arkd/evaluation/manifest.json": "[]",
        f"{PAIR}/tokens/manifest.json": '{"stage": "tokens", "outputs": {"a": 1}, "inputs": {}}',
    }
    for name, text in spoilt.items():
        (run / name).write_text(text)
    assert blamed(run, again=False) == set(spoilt)


def test_a_suite_s_own_name_and_another_folder_name_make_no_difference(
    run: Path, tmp_path: Path
) -> None:
    moved = run.rename(tmp_path / "a copy of mine")
    found = verify(moved)
    assert found.suite == "mine 1.0"
    assert found.problems == {}
    assert any("files of tables" in text for text in found.remade)


def test_the_shipped_suite_that_differs_is_named_with_its_keys(tmp_path: Path) -> None:
    suite = suite_of(METHODS)  # called longtail, with fewer methods
    root = write_run(suite, tmp_path, rows_for(suite))
    (note,) = [note for note in verify(root).notes if "shipped" in note]
    assert "differs in methods;" in note


@pytest.mark.parametrize("name", ["smoke@9999", "longtail@1"])
def test_a_block_of_a_world_that_no_shipped_suite_has_is_compared_with_none(
    name: str, tmp_path: Path
) -> None:
    suite = suite_of(METHODS[:1], name=name)
    root = write_run(suite, tmp_path, rows_for(suite))
    found = verify(root)
    assert found.problems == {}
    assert not [note for note in found.notes if "shipped" in note]
    for suite_name in (name, "smoke@1@2", "no such suite"):
        later = {"suite": suite_name, "core": "0", "config": {"later": 1}}
        edit(root / "manifest.json", lambda made, later=later: made.update(later))
        notes = verify(root, again=False).notes
        assert "another version of arkd wrote the suite's config (later)" in notes


BREAKS = ("a\u2028b", "a\x85b", "a\x0cb", "a\x1cb", "ü  b")


def test_what_the_sums_can_say_is_read_back(tmp_path: Path) -> None:
    for name in BREAKS:
        (tmp_path / name).write_text(name)
    checksums.write(tmp_path)
    sha256 = {name: hashlib.sha256(name.encode()).hexdigest() for name in BREAKS}
    assert checksums.read(tmp_path) == sha256
    with (tmp_path / checksums.NAME).open("a") as sums:
        sums.write(f"{'0' * 64}  c\r\n")
    with pytest.raises(ArkdError, match="line 6 is not one hash and one path"):
        checksums.read(tmp_path)


@pytest.mark.parametrize("name", [b"a\nb", b"a\rb", b"a\\b", b"a\xffb"])
def test_what_the_sums_cannot_say_is_refused(name: bytes, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(name)).write_text("")
    with pytest.raises(ArkdError, match="rename it"):
        checksums.write(tmp_path)
    assert not (tmp_path / checksums.NAME).exists()


def test_the_command_prints_problems_and_exits_with_one(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verify", str(run.parent)]) == 0
    assert "verified" in capsys.readouterr().out
    flip(run / "records.csv", 5000)
    assert cli.main(["verify", str(run)]) == 1
    told = capsys.readouterr().out
    assert f"{run / 'records.csv'}: not what manifest.json says was written" in told
    assert "1 problem" in told


def test_sums_are_written_only_where_nothing_is_wrong(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verify", "--write", str(run)]) == 0
    assert verify(run).anchored
    sums = (run / checksums.NAME).read_bytes()
    flip(run / "cost.csv", 100)
    assert cli.main(["verify", "--write", str(run)]) == 1
    assert (run / checksums.NAME).read_bytes() == sums
    assert "not written" in capsys.readouterr().out


def test_suites_are_found_below_a_parent_and_nothing_is_an_error(
    original: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite_folders([original.parent, run]) == [original, run]
    empty = run.parent / "empty"
    empty.mkdir()
    assert cli.main(["verify", str(empty)]) == 2
    assert f"{empty}: no results here" in capsys.readouterr().err


def test_an_unfinished_run_is_said_to_be_one(run: Path) -> None:
    (run / "manifest.json").unlink()
    assert "finish the run" in verify(run, again=False).problems[run / "manifest.json"]


# --- the same within rounding ---------------------------------------------------------------------


def rescale(path: Path, change: Callable[[float], float]) -> int:
    """Change every number of a CSV file that is no whole one; return how many there are."""
    changed = 0

    def one(text: str) -> str:
        nonlocal changed
        if not re.fullmatch(r"-?\d+\.\d+(e[+-]\d+)?", text):
            return text
        changed += 1
        return repr(change(float(text)))

    rows = [[one(text) for text in row] for row in read_rows(path)]
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows(rows)
    return changed


def rewritten(run: Path, folder: str, change: Callable[[float], float]) -> set[str]:
    """Change the CSV files of tables or claims with every hash of them; return their names."""
    names = {p.name for p in (run / folder).glob("*.csv") if rescale(p, change)}
    for name in names:
        name_hash(run / folder / "manifest.json", "outputs", name, run / folder / name)
    return {f"{folder}/{name}" for name in names}


@pytest.mark.parametrize("folder", ["tables", "claims"])
def test_numbers_that_round_otherwise_are_the_same_and_said_to_be_so(
    run: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = rewritten(run, folder, lambda x: x * (1 + 3e-16) + 1e-15)
    assert names
    found = verify(run)
    assert found.problems == {}
    assert found.close == [f"{len(names)} files of {folder}"]
    assert cli.main(["verify", str(run)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"the same within {RELATIVE:g}: {len(names)} files of {folder}" in told
    assert "the same to the byte: records.csv" in told


@pytest.mark.parametrize("folder", ["tables", "claims"])
def test_a_millionth_of_every_number_is_found(run: Path, folder: str) -> None:
    names = rewritten(run, folder, lambda x: x * (1 + 1e-6))
    assert blamed(run, again=False) == set()
    assert blamed(run) == names


def test_the_last_digit_that_a_table_shows_is_found_where_no_number_lies_between(run: Path) -> None:
    table = run / "tables" / "summary.md"
    text = table.read_text(encoding="utf-8")
    shown = next(re.finditer(r"\d\.\d+", text.partition("arkd |")[2]))
    digit = shown[0][-1]
    other = shown[0][:-1] + str((int(digit) + 1) % 10 if digit != "9" else 8)
    head, tail = text.split("arkd |", 1)
    table.write_text(f"{head}arkd |{tail.replace(shown[0], other, 1)}", encoding="utf-8")
    name_hash(run / "tables" / "manifest.json", "outputs", "summary.md", table)
    assert blamed(run) == {"tables/summary.md"}


def test_a_table_that_is_no_text_any_more_is_a_problem_and_no_crash(run: Path) -> None:
    (run / "tables" / "summary.csv").write_bytes(b"\xff\xfe")
    (run / "tables" / "tail.md").write_bytes(b"\xff\xfe")
    assert blamed(run) == {"tables/summary.csv", "tables/tail.md"}
