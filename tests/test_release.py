"""What a release is made of: versions, addresses, citations, images, forms; well formed, agreed.

Images are built where Docker or Apptainer is; here their shell and what they copy are checked.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from arkd import __version__
from arkd.cli.main import main
from arkd.cli.parser import parser

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text())
ZENODO: dict[str, Any] = json.loads((ROOT / ".zenodo.json").read_text())
MADE_OF = ("arkd", "baselines", "benchmarks", "workflow")
READ = (  # by `make release-check`
    *("pyproject.toml", "CITATION.cff", "PYPI.md", "SECURITY.md", "CHANGELOG.md"),
    *("Dockerfile", "apptainer.def", "arkd/__init__.py"),
    *(".github/ISSUE_TEMPLATE/config.yml", ".ci/release-check"),
)
CAUGHT: dict[str, Any] = {"capture_output": True, "text": True}
PATHS = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
DIGEST = "@sha256:" + "0123456789abcdef" * 4


def test_version_and_title_are_the_same_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cite", "--benchmark"]) == 0
    entry = capsys.readouterr().out.strip()
    assert entry in (ROOT / "README.md").read_text()
    assert f"version = {{{__version__}}}" in entry
    assert CITATION["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"title   = {{{ZENODO['title']}}}" in entry


def test_the_version_has_one_place_that_is_read_without_an_import() -> None:
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]
    tree = ast.parse((ROOT / "arkd" / "__init__.py").read_text())
    (value,) = (n.value for n in tree.body if isinstance(n, ast.Assign))
    assert ast.literal_eval(value) == __version__
    stage = "5 - Production/Stable" if int(__version__.partition(".")[0]) else "4 - Beta"
    assert f"Development Status :: {stage}" in PROJECT["classifiers"]


def test_the_page_of_the_index_has_no_link_that_is_dead_there() -> None:
    page = (ROOT / PROJECT["readme"]).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]*)\)|(?:href|src)=[\"']([^\"']*)", page)
    assert links
    assert all(link.startswith("https://") for pair in links for link in pair if link)
    for command in re.findall(r"^(arkd [^#\n]*)", page, re.M):
        parser().parse_args(shlex.split(command)[1:])


def test_licence_words_and_authors_are_the_same_everywhere() -> None:
    assert PROJECT["license"] == CITATION["license"] == "Apache-2.0"
    assert ZENODO["license"] == "apache-2.0"
    assert PROJECT["keywords"] == CITATION["keywords"] == ZENODO["keywords"]
    names = [author["name"] for author in PROJECT["authors"]]
    assert (
        names == [a["name"] for a in CITATION["authors"]] == [c["name"] for c in ZENODO["creators"]]
    )
    (paper,) = CITATION["references"]
    (related,) = ZENODO["related_identifiers"]
    assert paper["identifiers"][0]["value"] == related["identifier"]


def test_addresses_have_one_place() -> None:
    """Whoever puts the real ones there finds the two lines that repeat them by this test."""
    urls = PROJECT["urls"]
    assert (CITATION["url"], CITATION["repository-code"]) == (urls["Homepage"], urls["Repository"])
    assert len({url.split("/arkd")[0] for url in urls.values()}) == 1


def test_versions_of_python_are_those_that_nox_runs() -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    assigned = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    head = "Programming Language :: Python :: 3."
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if c.startswith(head)]
    assert list(assigned["PYTHONS"]) == named
    assert PROJECT["requires-python"] == f">={named[0]}"


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M)
    lines = text.replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


KNOWN = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "ENTRYPOINT", "CMD"}


def test_the_dockerfile_is_well_formed_and_copies_what_is_there() -> None:
    found = instructions()
    assert found[0][0] == "FROM"
    assert {word for word, _ in found} == KNOWN
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = [name for word, rest in found if word == "COPY" for name in rest.split()[:-1]]
    for name in copied:
        assert (ROOT / name).exists(), name
        assert any(Path(name).match(line[1:]) for line in ignored if line[0] == "!"), name
    assert set(MADE_OF) < set(copied)
    for word, rest in found:
        if word in ("ENTRYPOINT", "CMD"):
            assert all(isinstance(part, str) for part in json.loads(rest))
        if word == "RUN":
            subprocess.run(["bash", "-n", "-c", rest], check=True)


def sections() -> dict[str, str]:
    """The sections of the Apptainer definition, the header under an empty name."""
    parts = re.split(r"^%(\w+)\n", (ROOT / "apptainer.def").read_text(), flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def test_the_apptainer_definition_is_well_formed_and_makes_the_same_image() -> None:
    found = sections()
    assert set(found) == {"", "files", "post", "environment", "runscript", "test"}
    head = dict(re.findall(r"^(\w+): (.*)$", found[""], re.M))
    assert head == {"Bootstrap": "docker", "From": dict(instructions())["FROM"]}
    pairs = [line.split() for line in found["files"].splitlines() if line]
    assert all(
        (ROOT / source).exists() and place == f"/opt/arkd/{source}" for source, place in pairs
    )
    assert {source for source, _ in pairs} > set(MADE_OF)
    for name in ("post", "environment", "runscript", "test"):
        subprocess.run(["bash", "-n", "-c", found[name]], check=True)


def test_both_images_install_what_is_hashed_and_nothing_else() -> None:
    of_docker = "\n".join(rest for word, rest in instructions() if word == "RUN")
    for text in (of_docker, sections()["post"].replace("\\\n", " ")):
        typed = [shlex.split(command) for command in re.split(r"&&|\n", text)]
        installs = [words for words in typed if words[:2] == ["pip", "install"]]
        assert len(installs) == 4  # what builds, torch, the other libraries, and the project
        refuse_what_is_not_hashed(installs)


def refuse_what_is_not_hashed(installs: list[list[str]]) -> None:
    """What builds comes first, by its hash; then nothing is built by anything else."""
    first, *rest = installs
    assert first[-2:] == ["--requirement", "requirements-build.lock"]
    assert "--require-hashes" in first
    for words in installs:
        assert "--no-deps" in words
        assert "--require-hashes" in words or words[-1] == "."
    assert all("--no-build-isolation" in words for words in rest)


def test_make_and_nox_install_what_is_hashed_and_nothing_else(tmp_path: Path) -> None:
    """Make by the commands it would run, nox by the calls of its session."""
    command = ["make", "--dry-run", f"VENV={tmp_path}", "env"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    typed = re.findall(r"-m pip (install .*?)(?: 2>.*)?$", done.stdout, re.M)
    installs = [shlex.split(line) for line in typed]
    assert len(installs) == 5  # and both builds of torch are tried
    refuse_what_is_not_hashed(installs)
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and called(n) == "install"]
    installs = []
    for call in sorted(calls, key=lambda call: call.lineno):
        words: list[str] = []
        for argument in call.args:
            starred = isinstance(argument, ast.Starred)
            named = argument.value if isinstance(argument, ast.Starred) else argument
            value = ast.literal_eval(values[named.id] if isinstance(named, ast.Name) else named)
            words += value if starred else [value]
        installs.append(words)
    assert len(installs) == 4
    refuse_what_is_not_hashed(installs)


def called(call: ast.Call) -> str:
    """The name of the method that is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def test_installing_by_hand_is_the_same() -> None:
    page = " ".join((ROOT / "docs" / "quick-start.md").read_text(encoding="utf-8").split())
    typed = re.findall(r"`pip (install --no-deps [^`]*requirements[^`]*)`", page)
    assert len(typed) == 2
    refuse_what_is_not_hashed(
        [shlex.split(line.replace("-r ", "--requirement ")) for line in typed]
    )


def test_the_images_have_the_python_of_the_kept_results() -> None:
    kept = ROOT / "results" / "reference" / "1.0" / "longtail" / "manifest.json"
    python = json.loads(kept.read_text())["versions"]["python"]
    image = dict(instructions())["FROM"].partition("@")[0]
    assert image == f"python:{python}-slim-bookworm"


def checked(folder: Path) -> tuple[int, str]:
    """Exit status of what `make release-check` runs there, and what it says."""
    command = [str(folder / ".ci" / "release-check")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_a_release_without_placeholders_passes_and_each_of_them_is_refused(tmp_path: Path) -> None:
    def change(name: str, *pairs: tuple[str, str]) -> str:
        before = (tmp_path / name).read_text(encoding="utf-8")
        after = before
        for old, new in pairs:
            after = re.sub(old, new, after, flags=re.M)
        assert after != before, name
        (tmp_path / name).write_text(after, encoding="utf-8")
        return before

    for name in READ:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
        text = (tmp_path / name).read_text(encoding="utf-8")
        if name != ".ci/release-check":
            (tmp_path / name).write_text(text.replace("example.org", "real.net"), encoding="utf-8")
    cited = (r"^(date-released: .*\n)?(version: .*)$", r"\2\ndate-released: 2026-12-24")
    change("CITATION.cff", cited)
    heading = rf"^(## \[{re.escape(__version__)}\] – ).*$"
    change("CHANGELOG.md", (heading, r"\g<1>2026-12-24"))
    for image in ("Dockerfile", "apptainer.def"):
        change(image, (r"^(FROM |From: )([^@\n]*).*$", rf"\1\2{DIGEST}"))
    assert checked(tmp_path) == (0, "")
    for name, pair, said in (
        ("CITATION.cff", ("real.net", "example.org"), "CITATION.cff:13:url"),
        ("pyproject.toml", ("real.net", "example.org"), "pyproject.toml:"),
        ("CITATION.cff", ("^date-released.*\n", ""), "date-released is missing"),
        ("CHANGELOG.md", ("2026-12-24", "unreleased"), "CHANGELOG.md: no heading"),
        ("Dockerfile", (DIGEST, ""), "Dockerfile: the image has no digest"),
        ("apptainer.def", (DIGEST, ""), "apptainer.def: the image has no digest"),
    ):
        before = change(name, pair)
        status, told = checked(tmp_path)
        assert status == 1
        assert said in told
        (tmp_path / name).write_text(before, encoding="utf-8")


@pytest.mark.heavy  # fetches what releases are made with
def test_make_dist_builds_what_the_index_takes(tmp_path: Path) -> None:
    (tmp_path / ".ready").touch()  # the environment of the benchmark itself is not needed
    command = ["make", "dist", f"VENV={tmp_path}", f"DIST={tmp_path / 'dist'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2
    names = {path.name for path in (tmp_path / "dist").iterdir()}
    assert names == {f"arkd-{__version__}.tar.gz", f"arkd-{__version__}-py3-none-any.whl"}


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda p: p.stem
)
def test_issue_forms_are_as_github_reads_them(form: Path) -> None:
    read = yaml.safe_load(form.read_text())
    if form.stem == "config":
        assert set(read) == {"blank_issues_enabled", "contact_links"}
        (private,) = read["contact_links"]
        assert set(private) == {"name", "url", "about"}
        assert private["url"] == f"{PROJECT['urls']['Repository']}/security/advisories/new"
        return
    assert {"name", "description", "body"} <= set(read)
    ids = [part["id"] for part in read["body"]]
    assert len(ids) == len(set(ids))
    for part in read["body"]:
        assert part["type"] in ("input", "textarea", "dropdown", "checkboxes", "markdown")
        assert part["attributes"]["label"]


WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}


def runs(workflow: str, job: str) -> list[str]:
    return [step["run"] for step in WORKFLOWS[workflow]["jobs"][job]["steps"] if "run" in step]


def test_pull_requests_run_the_projects_own_checks_on_every_python() -> None:
    jobs = WORKFLOWS["ci"]["jobs"]
    assert {job: runs("ci", job) for job in jobs} == {
        "run": [".ci/run"],
        "smoke": ["make smoke"],
        "all": ["make test-all"],
    }
    head = "Programming Language :: Python :: 3."
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if c.startswith(head)]
    assert jobs["run"]["strategy"]["matrix"] == {"python": named}
    assert jobs["smoke"]["runs-on"].startswith("macos-")
    index = WORKFLOWS["ci"]["env"]["PIP_EXTRA_INDEX_URL"]
    assert f"PIP_EXTRA_INDEX_URL={index} " in (ROOT / "docs" / "quick-start.md").read_text()


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_actions_cannot_change_and_may_write_nothing(workflow: str) -> None:
    text = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text(encoding="utf-8")
    used = re.findall(r"uses: (.*)$", text, re.M)
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action) for action in used)
    assert WORKFLOWS[workflow]["permissions"] == {"contents": "read"}
    granted = {
        n: j["permissions"] for n, j in WORKFLOWS[workflow]["jobs"].items() if "permissions" in j
    }
    assert granted == ({"publish": {"id-token": "write"}} if workflow == "release" else {})
    assert "secrets." not in text


def release_lines() -> list[str]:
    page = (ROOT / "docs" / "release.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"```sh\n(.*?)```", page, re.S))
    return [line.partition("  #")[0].strip() for line in blocks.splitlines()]


@pytest.mark.parametrize("line", release_lines())
def test_every_line_of_the_release_page_can_be_typed(line: str, tmp_path: Path) -> None:
    """What is long is only parsed: a test of its own runs it, or it runs the tests."""
    words = shlex.split(line)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)
    elif words[0] == "arkd":
        assert (ROOT / parser().parse_args(words[1:]).folders[0]).is_dir()
    elif words[:3] == ["python", "-m", "pytest"]:
        assert all((ROOT / word).is_file() for word in words[3:])
    elif words[0] == "git":
        here = {"cwd": tmp_path / "clone", "check": True, "capture_output": True}
        identity = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "origin"], check=True)
        subprocess.run(["git", "clone", "--quiet", "origin", "clone"], cwd=tmp_path, check=True)
        subprocess.run(["git", *identity, "commit", "--allow-empty", "--message=x"], **here)
        lines = [other for other in release_lines() if other.startswith("git tag")]
        for one in dict.fromkeys([*lines, line]):
            subprocess.run(["git", *identity, *shlex.split(one)[1:]], **here)
    else:
        done = subprocess.run(["bash", "-c", line], cwd=ROOT, env=PATHS, check=True, **CAUGHT)
        assert re.search(r"\b[0-9a-f]{16}\b", done.stdout)


def test_the_private_way_is_named_by_every_page_that_needs_it() -> None:
    security = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "private vulnerability reporting" in " ".join(security.split())
    assert "(SECURITY.md#report-a-vulnerability)" in (ROOT / "CODE_OF_CONDUCT.md").read_text()
    assert "arkd.methods" in security
