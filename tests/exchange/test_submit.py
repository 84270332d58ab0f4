"""A submission holds what is needed to check it, and says what is missing."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import ROOT
from run_folders import filled_form, rows_for, write_run
from simulate import suite_of

from arkd.audit.verify import verify
from arkd.cli import main as cli
from arkd.errors import ArkdError
from arkd.exchange import form, submit

PAIR = "llama-0.5M-0.1M"
SCHEMA = ROOT / "benchmarks" / "schema" / "submission.schema.json"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run's folder as far as the collection; treat it as read-only."""
    suite = suite_of(("forward_kl", "reverse_kl"), name="mine")
    return write_run(suite, tmp_path_factory.mktemp("runs"), rows_for(suite))


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "results" / "mine")


def filled(folder: Path, **changes: Any) -> Path:
    """Write a form; a key changed to None is left out."""
    told = filled_form(**changes)
    path = folder / "form.yaml"
    path.write_text(yaml.safe_dump({key: v for key, v in told.items() if v is not None}))
    return path


def foreign(run: Path, *, declared: dict[str, Any]) -> Path:
    """Put a student that was trained elsewhere beside a run, as `arkd score` leaves it."""
    home = run / "foreign" / "theirs" / PAIR
    shutil.copytree(run / PAIR / "reverse_kl", home)
    shutil.rmtree(home / "evaluation")
    (home / "evaluation").mkdir()
    rows = (run / PAIR / "reverse_kl" / "evaluation" / "records.csv").read_text()
    text = rows.replace(",reverse_kl,", ",foreign:theirs,")
    (home / "evaluation" / "records.csv").write_text(text)
    (home / "evaluation" / "samples.jsonl").write_text("{}\n")
    outputs = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (home / "evaluation").iterdir()
    }
    made = json.loads((run / PAIR / "reverse_kl" / "evaluation" / "manifest.json").read_text())
    made |= {"outputs": outputs, "label": "foreign:theirs"}
    (home / "evaluation" / "manifest.json").write_text(json.dumps(made))
    for path in home.glob("seed*/training/manifest.json"):
        noted = json.loads(path.read_text())
        noted |= {"stage": "foreign", "method": "foreign:theirs", "inputs": {}}
        noted["notes"] = {"declared": declared}
        path.write_text(json.dumps(noted))
    return home


def test_the_committed_schema_is_the_generated_one_and_accepts_the_form() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == form.schema()
    schema = json.loads(form.schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    example = yaml.safe_load(form.EXAMPLE)
    validator.validate(example)
    for wrong in ({"licence": None}, {"code": {"url": "x", "commit": "y"}}, {"extra": 1}):
        assert not validator.is_valid(example | wrong)


def test_a_submission_has_records_manifests_samples_and_sums_and_no_model(
    run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submissions" / "mine"
    submit.pack(run, filled(tmp_path), out)
    files = [path for path in (out / "mine").rglob("*") if path.is_file()]
    names = {path.relative_to(out / "mine").as_posix() for path in files}
    assert {"records.csv", "items.csv", "cost.csv", "submission.yaml", "SHA256SUMS"} <= names
    assert f"{PAIR}/reverse_kl/seed1/training/manifest.json" in names
    assert f"{PAIR}/reverse_kl/evaluation/samples.jsonl" in names
    assert not [name for name in names if name.endswith((".safetensors", "train.jsonl"))]
    for line in (out / "mine" / "SHA256SUMS").read_text().splitlines():
        sha, name = line.split("  ")
        assert hashlib.sha256((out / "mine" / name).read_bytes()).hexdigest() == sha
    assert verify(out / "mine", again=False).problems == {}
    assert submit.check(out).missing == []


def test_an_archive_is_checked_as_its_folder(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.tar.gz"
    notes = submit.pack(run, filled(tmp_path), out)
    with tarfile.open(out) as archive:
        assert f"{yaml.safe_load(form.EXAMPLE)['name']}/mine/records.csv" in archive.getnames()
    found = submit.check(out)
    assert found.missing == []
    assert found.notes == notes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"licence": None}, "licence: this key is required"),
        ({"who": []}, "who"),
        ({"code": {"url": "https://example.org", "commit": "main"}}, "code.commit"),
        ({"licenses": "x"}, "licenses: unknown key (did you mean 'licence'?)"),
        ({"rows": {"akl": {"processor_s": 1}}}, "rows.akl: the form speaks of a row"),
    ],
)
def test_a_form_that_is_not_filled_in_is_refused(
    changes: dict[str, Any], said: str, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArkdError) as refused:
        submit.pack(run, filled(tmp_path, **changes), tmp_path / "out")
    assert said in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_run_without_forward_kl_has_nothing_to_be_paired_with(tmp_path: Path) -> None:
    suite = suite_of(("reverse_kl", "arkd"), name="mine")
    run = write_run(suite, tmp_path / "results", rows_for(suite))
    with pytest.raises(ArkdError, match="forward_kl: no records"):
        submit.pack(run, filled(tmp_path), tmp_path / "out")


def test_an_edited_number_is_not_packed_and_is_found_when_packed(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    submit.pack(run, filled(tmp_path), out)
    for records in (run / "records.csv", out / "mine" / "records.csv"):
        records.write_text(records.read_text().replace(",30", ",31", 1) + "\n")
    with pytest.raises(ArkdError, match=r"records\.csv"):
        submit.pack(run, filled(tmp_path), tmp_path / "again")
    assert any("records.csv" in text for text in submit.check(out).missing)


def test_what_a_foreign_row_cost_must_be_said_somewhere(run: Path, tmp_path: Path) -> None:
    foreign(run, declared={"prefixes": "student"})
    with pytest.raises(ArkdError, match="foreign:theirs: what it cost"):
        submit.pack(run, filled(tmp_path), tmp_path / "out")
    said = {"foreign:theirs": {"processor_s": 12.5, "prefixes": "student"}}
    submit.pack(run, filled(tmp_path, rows=said), tmp_path / "out")
    kept = tmp_path / "out" / "mine" / "foreign" / "theirs" / PAIR
    assert (kept / "evaluation" / "records.csv").is_file()
    assert (kept / "seed1" / "training" / "manifest.json").is_file()


def evaluation_manifest(home: Path, **changes: Any) -> None:
    path = home / "evaluation" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"suite_version": "9.9"}, "measured by version 9.9 of the suite, and"),
        ({"config": {"decoding": {"top_p": 0.1}}}, "measured with other "),
    ],
)
def test_a_foreign_row_that_was_measured_otherwise_is_not_packed(
    run: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """Sampled from a narrower distribution, answers score higher beside those of the run."""
    evaluation_manifest(foreign(run, declared={"processor_s": 1}), **changes)
    with pytest.raises(ArkdError, match=f"foreign:theirs: {said}"):
        submit.pack(run, filled(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_steps_than_the_suites_are_told(run: Path, tmp_path: Path) -> None:
    budget = json.loads((run / "manifest.json").read_text())["config"]["distillation"]["steps"]
    foreign(run, declared={"processor_s": 1, "steps": budget + 5})
    notes = submit.pack(run, filled(tmp_path), tmp_path / "out")
    assert f"foreign:theirs: trained for {budget + 5} steps, the suite's for {budget}" in notes


def test_lost_samples_are_named(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    submit.pack(run, filled(tmp_path), out)
    (out / "mine" / PAIR / "reverse_kl" / "evaluation" / "samples.jsonl").unlink()
    missing = submit.check(out).missing
    assert any("samples.jsonl: the answers are needed" in text for text in missing)


def test_another_core_and_few_seeds_are_told_and_not_refused(tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "reverse_kl"), name="mine", seeds=(1, 2))
    run = write_run(suite, tmp_path / "results", rows_for(suite))
    made = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(made | {"core": "0123456789abcdef"}))
    out = tmp_path / "out"
    notes = "\n".join(submit.pack(run, filled(tmp_path), out))
    assert "core 0123456789abcdef" in notes
    assert "reverse_kl: 2 seeds" in notes
    assert submit.check(out).missing == []


def test_the_command_says_what_is_missing_and_exits_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "submission.yaml"
    assert cli.main(["submit", "--new", str(written)]) == 0
    out = tmp_path / "out"
    assert cli.main(["submit", str(run), "--form", str(written), "--out", str(out)]) == 2
    unfilled = "who, method, paper, code.url, code.commit: as the empty form has it; fill it in"
    assert capsys.readouterr().err == f"arkd: error: {written}: {unfilled}\n"
    assert not out.exists()
    form_file = filled(tmp_path)
    assert form.read(form_file).name == yaml.safe_load(form.EXAMPLE)["name"]
    assert cli.main(["submit", str(run), "--form", str(form_file), "--out", str(out)]) == 0
    assert cli.main(["submit", "--check", str(out)]) == 0
    (out / "mine" / "SHA256SUMS").unlink()
    capsys.readouterr()
    assert cli.main(["submit", "--check", str(out)]) == 1
    said = capsys.readouterr().out
    assert "missing: no SHA256SUMS in mine" in said
    assert "not ready" in said
    for words in ([], [str(run)], ["--check", str(tmp_path / "none")]):
        assert cli.main(["submit", *words]) == 2
