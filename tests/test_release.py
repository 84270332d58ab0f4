"""What a release is made of: versions, addresses, citations, images, forms; well formed, agreed.

Images are built where Docker or Apptainer is; here their shell and what they copy are checked.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from arkd import __version__
from arkd.cli.main import main

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text())
ZENODO: dict[str, Any] = json.loads((ROOT / ".zenodo.json").read_text())
MADE_OF = ("arkd", "baselines", "benchmarks", "workflow")


def test_version_and_title_are_the_same_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cite", "--benchmark"]) == 0
    entry = capsys.readouterr().out.strip()
    assert entry in (ROOT / "README.md").read_text()
    assert f"version = {{{PROJECT['version']}}}" in entry
    assert PROJECT["version"] == CITATION["version"] == __version__
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"title   = {{{ZENODO['title']}}}" in entry


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
        assert len(installs) == 3  # torch, the other libraries, and the project
        for words in installs:
            assert "--no-deps" in words
            assert "--require-hashes" in words or words[-1] == "."


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda p: p.stem
)
def test_issue_forms_are_as_github_reads_them(form: Path) -> None:
    read = yaml.safe_load(form.read_text())
    if form.stem == "config":
        assert read == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "body"} <= set(read)
    ids = [part["id"] for part in read["body"]]
    assert len(ids) == len(set(ids))
    for part in read["body"]:
        assert part["type"] in ("input", "textarea", "dropdown", "checkboxes", "markdown")
        assert part["attributes"]["label"]


def test_pull_requests_run_the_projects_own_checks_by_actions_that_cannot_change() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    steps = yaml.safe_load(text)["jobs"]["run"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used)
