"""Odd paths, an odd environment and a home that cannot be written to: it works, or is one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from arkd import kernels
from arkd.errors import ArkdError
from arkd.paths import snakefile
from arkd.storage import caches
from arkd.suite.folders import Tree, plain_name
from arkd.suite.job_list import job_list
from arkd.suite.load import load_suite, suite_path
from arkd.suite.trees import results_folder


def arkd(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "arkd", *words]
    env = {k: v for k, v in os.environ.items() if k != "XDG_CACHE_HOME"} | environment
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["a,b", "a[1]", "a: b", "[a]", "it's #1"])
def test_a_suites_path_may_be_any(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    text = suite_path("smoke").read_text(encoding="utf-8").replace("name: smoke", "name: mine")
    (tmp_path / name / "m.yaml").write_text(text)
    done = arkd("run", f"{name}/m.yaml", "--results", f"{name}/r", "--dry-run", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name}/r/mine/report.html" in done.stdout + done.stderr
    assert [path.name for path in (tmp_path / name).iterdir()] == ["m.yaml"]


FOLDERS: list[tuple[Any, str]] = [
    (None, "results"),
    ("a: b", "a: b"),
    (["[a]"], "[a]"),
    (12, "12"),
    ("r/", "r"),
    ("./a//b/", "a/b"),
    ("new/../r", "r"),
    ("{here}/r", "r"),
    ("//{here}/r", "r"),
    ("link/r", "r"),
    ("other/..", "{here}-beside"),
    ("other/../r", "{here}-beside/r"),
    (".", "{here}"),
    ("../x", "{here}/../x"),
    ("~/r", "{home}/r"),
    ("{here}/~/r", "{here}/~/r"),
]


@pytest.mark.parametrize(("given", "expected"), FOLDERS)
def test_the_folder_of_results(
    given: Any, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All spellings are one: Snakemake knows a file by its path, as it is written."""
    here, home = tmp_path / "here", tmp_path / "home"
    inner = tmp_path / "here-beside" / "inner"
    for folder in (here, inner):
        folder.mkdir(parents=True)
    (here / "link").symlink_to(here)
    (here / "other").symlink_to(inner)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    places = {"{here}": str(here), "{home}": str(home)}
    for word, place in places.items():
        given = given.replace(word, place) if isinstance(given, str) else given
        expected = expected.replace(word, place)
    assert results_folder(given) == os.path.normpath(expected)
    assert results_folder(results_folder(given)) == os.path.normpath(expected)


@pytest.mark.parametrize("given", [["a", "b"], {"a": "b"}, "{suite}", "a\nb", "", [[]]])
def test_what_is_no_folder_of_results(given: Any) -> None:
    with pytest.raises(ArkdError, match=r"^results: ") as caught:
        results_folder(given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "near"), [("suite=[smoke]", "suites"), ("result=elsewhere", "results")]
)
def test_a_misspelt_key_of_the_workflow_is_one_line_before_any_job(
    key: str, near: str, tmp_path: Path
) -> None:
    """Snakemake itself takes any key, and would run the default suite."""
    command = ["snakemake", "--snakefile", str(snakefile()), "--cores", "1", "--config", key]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    (said,) = [line for line in done.stderr.splitlines() if "error" in line]
    name = key.partition("=")[0]
    assert said == (
        f"arkd: error: --config: no key '{name}' (did you mean '{near}'?); known: suites, "
        "results, gpu"
    )
    assert done.returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == [".snakemake"]


@pytest.mark.parametrize(
    ("given", "found"), [("3", 3), ("", 1), (" ", 1), (" 2 ", 2), (None, 1), ("4096", 4096)]
)
def test_a_number_of_threads(
    given: str | None, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert kernels.threads() == found


@pytest.mark.parametrize("given", ["abc", "-1", "0", "1,2", "1.5", "１", "9" * 50, "1\n2"])
def test_what_is_no_number_of_threads(given: str, tmp_path: Path) -> None:
    """Whoever computes portably has one anyway; else it is one line."""
    assert arkd("--version", folder=tmp_path, OMP_NUM_THREADS=given).returncode == 0
    code = "from arkd import kernels; kernels.choose({!r}); print(kernels.threads())"
    for choice, code_ in (("portable", 0), ("fast", 1)):
        env = os.environ | {"OMP_NUM_THREADS": given}
        command = [sys.executable, "-c", code.format(choice)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code_
        if code_:
            last = done.stderr.splitlines()[-1]
            assert "OMP_NUM_THREADS: must be a whole number from 1 to 4096, found" in last
        else:
            assert done.stdout == "1\n"


def test_a_home_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").write_text("a file")
    for name in (caches.CACHE, caches.MATPLOTLIB):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    caches.place_caches()
    placed = Path(os.environ[caches.CACHE])
    assert placed == tmp_path / f"arkd-caches-{os.getuid()}"
    assert os.environ[caches.MATPLOTLIB] == str(placed / "matplotlib")
    assert placed.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv(caches.CACHE, str(tmp_path))
    caches.place_caches()
    assert os.environ[caches.CACHE] == str(tmp_path)  # the user's own stays


def test_the_workflow_starts_without_a_home(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    done = arkd(
        "run",
        "smoke",
        "--dry-run",
        folder=tmp_path,
        HOME=str(tmp_path / "home"),
        OMP_NUM_THREADS="x",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [".snakemake", "home"]


def test_a_suite_has_one_name_however_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    (tmp_path / "inner").mkdir()
    whole = tmp_path / "mine.yaml"
    for typed in ("mine.yaml", "./mine.yaml", "inner/../mine.yaml", f"~/{tmp_path.name}/mine.yaml"):
        assert plain_name(typed) == plain_name(f"{whole}") == "mine.yaml"
        assert plain_name(f"{typed}@07") == "mine.yaml@7"
    assert plain_name("smoke") == plain_name(str(suite_path("smoke"))) == "smoke"
    assert plain_name(f"{suite_path('smoke')}@011") == "smoke@11"
    shutil.copy(suite_path("smoke"), tmp_path)
    assert plain_name("./smoke.yaml") == "smoke.yaml"
    monkeypatch.chdir("inner")
    assert plain_name("../mine.yaml") == str(whole)


def test_another_spelling_of_a_finished_run_reruns_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: smoke\nname: mine\nmethods: [forward_kl]\n")
    run = Tree(tmp_path / "results", load_suite(str(tmp_path / "mine.yaml")))
    for job in job_list(run):
        job.made.parent.mkdir(parents=True, exist_ok=True)
        job.made.write_text("{}")
    for name in ("records", "items", "trajectories", "cost"):
        (run.root / f"{name}.csv").write_text("")
    (run.root / "report").mkdir()
    words = ["snakemake", "--snakefile", str(snakefile()), "--cores", "1", "--touch", "--config"]
    touched = [*words, "suites=[mine.yaml]"]
    subprocess.run(touched, cwd=tmp_path, capture_output=True, check=True)
    typed = [f"{tmp_path}/mine.yaml", "--results", f"{tmp_path}/./results//"]
    done = arkd("run", *typed, "--dry-run", folder=tmp_path)
    assert "Nothing to be done" in done.stdout + done.stderr, done.stdout
