"""Imports follow the data: no room looks at a room further down."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "arkd"
# From the ground up; a module may import from earlier lines and from its own.
LAYERS = [
    ["errors", "interrupts", "offline", "seeding", "paths", "rouge", "__init__"],
    ["kernels"],
    ["portable_ops"],
    ["files", "method", "objectives", "exact"],
    ["papers"],
    ["data.wheels", "data.phrases", "data.world", "data.questions", "data.probes"],
    ["hub", "data.prompts", "data.instruction_formats"],
    ["data.instruction_sources"],
    ["data.instruction_filters", "data.corpus"],
    ["data.wordnet", "data.gutenberg", "data.chatterbot", "data.lexicon", "data.passages"],
    ["data.instructions", "data.longtail", "data.own_files", "data.public", "data.smollm2"],
    ["settings"],
    ["suite"],
    ["own_suite"],
    ["registry", "records", "manifest", "device", "checksums"],
    ["catalogue", "scaffold", "suite_scaffold"],
    ["published"],
    ["pages", "published_text"],
    ["workflow"],
    ["chain"],
    ["plan.shapes", "plan.gpus"],
    ["plan.memory", "plan.rows", "plan.resolve"],
    ["plan.methods", "plan.work"],
    ["plan.jobs"],
    ["plan.records"],
    ["plan.text"],
    ["heads"],
    ["data.tokens", "sweeps", "signals", "policy"],
    ["divergence"],
    ["methods.arkd", "methods.arkd_code", "methods.arkd_sampled", "methods.frozen_policy"],
    [
        "methods.random_alpha",
        "methods.replay_alpha",
        "methods.replay_figure5",
        "methods.static_018",
    ],
    ["passes"],
    ["models", "lora"],
    ["checkpoint"],
    ["pretrained", "training"],
    ["shards"],
    ["cache", "generate"],
    ["development", "reduction"],
    ["building"],
    ["tail", "tasks", "metric_inputs"],
    ["logits_metric"],
    ["given", "tools", "trainee"],
    ["distill"],
    ["conformance.setting", "conformance.formulas"],
    ["conformance.oracles", "conformance.trace"],
    ["conformance.subject"],
    ["conformance.comparison"],
    ["conformance.declarations", "conformance.values"],
    ["conformance.invariance", "conformance.positions", "conformance.runs"],
    ["conformance.variants"],
    ["conformance.check"],
    ["conformance.golden"],
    ["fidelity", "texts", "bertscore"],
    ["mauve"],
    ["harness"],
    ["truth", "evaluate"],
    ["trajectories"],
    ["staging"],
    ["stages", "method_stages", "evaluation_stage", "collect", "tuning"],
    ["stats", "scores", "components", "tolerance"],
    ["resampling"],
    ["claim_tests", "claims"],
    ["verdicts"],
    ["cells"],
    ["latex_text"],
    ["latex"],
    ["beside", "notes"],
    ["layout", "tabular"],
    ["curves", "plotting"],
    ["dot_plots"],
    ["analyses", "items", "public_tasks", "decoders", "training_figures"],
    ["aggregates"],
    ["students", "variance"],
    ["tables"],
    ["score_figures", "profile_figures", "strategy_figures", "fidelity_figures"],
    ["claim_curves"],
    ["claim_results", "claim_prints"],
    ["claim_values"],
    ["judgement"],
    ["verdict_text"],
    ["claim_figures"],
    ["figures"],
    ["verdict_table"],
    ["recompute"],
    ["verify", "merged_suite"],
    ["merge_sources"],
    ["merge"],
    ["compare_records"],
    ["compare"],
    ["compare_text"],
    ["report_views"],
    ["report_comparisons", "report_figures", "report_origins"],
    ["report_claims"],
    ["report"],
    ["perf.inputs", "perf.timing"],
    ["perf.contenders", "perf.suite", "perf.pair"],
    ["perf.memory", "perf.steps"],
    ["perf.losses"],
    ["perf.ratios"],
    ["perf.tables"],
    ["perf.report"],
    ["perf.run"],
    ["commands"],
    ["cli"],
]
PLACE = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules() -> dict[str, Path]:
    """All modules of the package by dotted name, packages' own files left out."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if not name.endswith("__init__"):
            found[name] = path
    return found


def imported(path: Path) -> set[str]:
    """The package's own modules that a file imports, anywhere in it but for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
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
            names |= inside & set(PLACE) or {package or "__init__"}
    return names


def test_every_module_has_its_place() -> None:
    assert set(modules()) == set(PLACE) - {"__init__"}


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_from_below_only(name: str) -> None:
    above = {other for other in imported(modules()[name]) if PLACE[other] > PLACE[name]}
    assert not above, f"{name} looks at {sorted(above)}"


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
        ["published", "akl"],
        ["new", "mine", "--package"],
        ["plan", "smoke"],
        ["new-suite", "mine"],
    ],
    ids=" ".join,
)
def test_a_light_command_loads_no_heavy_library(arguments: list[str], tmp_path: Path) -> None:
    code = f"from arkd.cli import main\ntry:\n    main({arguments})\nexcept SystemExit:\n    pass"
    assert loaded_by(code, tmp_path) == set()


@pytest.mark.parametrize(
    ("modules", "allowed"),
    [
        ("workflow, stages, method_stages, collect", set()),
        ("tables, judgement, verdict_table", TABLES),
        ("figures, report", TABLES | {"matplotlib"}),
        ("data.tokens", {"torch", "transformers", "numpy"}),
    ],
)
def test_a_stage_loads_what_it_needs(modules: str, allowed: set[str], tmp_path: Path) -> None:
    code = "\n".join(f"import arkd.{module}" for module in modules.split(", "))
    assert loaded_by(code, tmp_path) <= allowed
