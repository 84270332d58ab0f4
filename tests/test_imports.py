"""Imports follow the data: a package looks at those before it in the flow, never at a later one."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from arkd.data import source as sources
from arkd.storage.provenance import CORE, TRAINING_CORE

PACKAGE = Path(__file__).parent.parent / "arkd"
# In the order of the data; `ground` is the modules that lie in no package.
ORDER = (
    *("ground", "storage", "data", "suite", "sizes", "methods", "divergence", "models", "teacher"),
    *("training", "metrics", "evaluation", "stages", "statistics", "results", "tables", "claims"),
    *(
        "figures",
        "report",
        "audit",
        "exchange",
        "leaderboard",
        "conformance",
        "loss_audit",
        "plan",
        "perf",
        "cli",
    ),
)
# Beyond the order: what is not reached at all, directly or through others.
NEVER = (
    ("training", "evaluation", "a new metric reruns no training"),
    ("training", "metrics", "a new metric reruns no training"),
    ("statistics", "storage", "statistics take arrays and return numbers"),
    ("methods", "training", "a method knows its tools by the contract alone"),
    ("methods", "suite", "a method knows no suite"),
    ("tables", "claims", "verdicts are shown as tables, not the other way round"),
    ("results", "stages", "reading results starts no stage"),
)
# Addresses that others have written down, which lead into the packages.
ADDRESSES = {"__main__": "the command `python -m arkd`", "tasks": "named by the tasks' YAML files"}
# Reached by a stage and no part of what a number depends on, each with its reason.
EXEMPT = {
    "errors": "words of messages",
    "papers": "bibliography",
    "validated": "refuses what is misspelt, changes nothing",
    "paths": "where the checkout lies",
    "progress": "a bar on the terminal",
    "processes": "who writes what all have computed",
    "storage.files": "how files become whole or absent",
    "storage.checksums": "hashes of what was written",
    "storage.given": "hashes of what was given",
    "storage.manifest": "what is said of what was written",
    "storage.stage_writer": "writes what is said of what was written",
    "storage.provenance": "the hash itself, and what is said of code and machine",
    "storage.locks": "keeps two processes apart",
    "storage.gpus": "which GPU computes, of those that there are",
    "storage.seen": "remembers the hashes of large files",
    "storage.received": "refuses what somebody sent, changes nothing",
    "storage.names": "refuses names, changes none",
    "storage.offline": "keeps libraries off the network",
    "storage.hub": "fetches what its hash names",
    "storage.yaml_text": "slices of what it reads are compared as values",
    "storage.wheels": "fetches what its hash names",
    "suite.checks": "refuses suites, changes none",
    "suite.contexts": "refuses what is too long, changes nothing",
    "stages.references": "refuses what cannot be scored, changes nothing",
    "stages.contexts": "refuses what is too long, changes nothing",
    "suite.workflow": "what waits for what",
    "time_limit": "refuses what hangs, changes nothing",
    "suite.folders": "where a suite's folders lie",
    "suite.jobs": "what waits for what; slices are compared as values",
}

# Hashed with their folder, though no stage reaches them.
BESIDE = {
    "metrics.hf_evaluate": "the pipeline's metrics as modules of `evaluate`",
    "metrics.logits_input": "what those modules take in",
}


def modules() -> dict[str, Path]:
    """All modules of the package by dotted name, packages' own files left out."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if not name.endswith("__init__"):
            found[name] = path
    return found


MODULES = modules()


def imported(name: str) -> set[str]:
    """The package's own modules that one imports, anywhere in it but for type checking."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in skipped or not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if node.module.partition(".")[0] == "arkd":
            package = node.module.removeprefix("arkd").removeprefix(".")
            inside = {f"{package}.{alias.name}".lstrip(".") for alias in node.names}
            names |= inside & set(MODULES) or {package} & set(MODULES)
    return names


IMPORTS = {name: imported(name) for name in MODULES}


def package(name: str) -> str:
    return name.partition(".")[0] if "." in name else "ground"


def reached(start: set[str]) -> set[str]:
    """The modules that some reach, themselves among them."""
    found, todo = set(start), list(start)
    while todo:
        new = IMPORTS[todo.pop()] - found
        found |= new
        todo += new
    return found


def test_every_package_has_its_place_and_says_what_goes_in_and_out() -> None:
    assert {package(name) for name in MODULES} == set(ORDER)
    for name in ORDER[1:]:
        tree = ast.parse((PACKAGE / name / "__init__.py").read_text(encoding="utf-8"))
        assert len(ast.get_docstring(tree) or "") > 30, f"{name} does not say what it is"
        assert len(tree.body) == 1, f"{name}/__init__.py has code: importing it would load it"


@pytest.mark.parametrize("name", sorted(MODULES.keys() - ADDRESSES.keys()))
def test_a_module_imports_from_earlier_packages_only(name: str) -> None:
    own = ORDER.index(package(name))
    later = {other for other in IMPORTS[name] if ORDER.index(package(other)) > own}
    assert not later, f"{name} looks at {sorted(later)}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    for name in MODULES:
        assert name not in reached(IMPORTS[name]), f"{name} reaches itself"


@pytest.mark.parametrize(("one", "other", "why"), NEVER, ids=[f"{a}-{b}" for a, b, _ in NEVER])
def test_what_is_never_reached(one: str, other: str, why: str) -> None:
    found = reached({name for name in MODULES if package(name) == one})
    assert not {name for name in found if package(name) == other}, why


OF_TRAINING = {f"stages.{name}" for name in ("prepare", "build_models", "cache", "distill")}


def hashed(patterns: tuple[str, ...]) -> set[str]:
    """The modules that a list of patterns names."""
    paths = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    return {name for name, path in MODULES.items() if path in paths}


@pytest.mark.parametrize(
    ("core", "stages"),
    [
        (TRAINING_CORE, OF_TRAINING),
        (CORE, OF_TRAINING | {"stages.evaluate", "tasks"}),
    ],
    ids=["training", "measuring"],
)
def test_the_hash_of_the_core_covers_what_the_stages_reach(
    core: tuple[str, ...], stages: set[str]
) -> None:
    """Found by place are methods, each an input of its own stage, and sources of data."""
    plugins = {name for name in MODULES if name.startswith("methods.") and "._" not in name}
    of_data = {f"data.{name}.source" for name in sources.names()}
    closure = reached(stages | plugins | of_data) - plugins
    assert closure - hashed(core) == closure & EXEMPT.keys()
    assert not hashed(core) & EXEMPT.keys()
    assert hashed(core) - closure <= BESIDE.keys()


def test_every_pattern_of_the_core_names_a_file() -> None:
    for pattern in CORE:
        assert list(PACKAGE.glob(pattern)), pattern


HEAVY = {"torch", "transformers", "lm_eval", "datasets", "numpy", "scipy", "pandas", "matplotlib"}
TABLES = {"numpy", "scipy", "pandas"}


def loaded_by(code: str, folder: Path) -> set[str]:
    """The heavy libraries that a fresh interpreter has loaded after some code."""
    ask = "import sys; print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", f"{code}\n{ask}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return HEAVY & set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["distill", "--help"],
        ["list"],
        ["list", "suites"],
        ["cite", "arkd"],
        ["cite", "--licences", "smollm2"],
        ["published", "akl"],
        ["new", "mine", "--package"],
        ["plan", "smoke"],
        ["new-suite", "mine"],
        ["status", "smoke"],
        [],
        ["audit", "--list"],
        ["audit", "--new", "my_loss.py"],
    ],
    ids=" ".join,
)
def test_a_light_command_loads_no_heavy_library(arguments: list[str], tmp_path: Path) -> None:
    code = f"""
from arkd.cli.main import main
try:
    code = main({arguments})
except SystemExit as end:  # of argparse
    code = end.code
assert not code, code"""
    assert loaded_by(code, tmp_path) == set()


@pytest.mark.parametrize(
    ("modules", "allowed"),
    [
        (", ".join(["suite.jobs", *OF_TRAINING, "stages.evaluate", "stages.collect"]), set()),
        (", ".join(f"data.{name}.source" for name in sources.names()), set()),
        ("tables.build, claims.judge, claims.write", TABLES),
        ("figures.build, report.page", TABLES | {"matplotlib"}),
        ("data.tokens", {"torch", "transformers", "numpy"}),
    ],
)
def test_a_stage_loads_what_it_needs(modules: str, allowed: set[str], tmp_path: Path) -> None:
    code = "\n".join(f"import arkd.{module}" for module in modules.split(", "))
    assert loaded_by(code, tmp_path) <= allowed
