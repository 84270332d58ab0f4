"""The licences of what a suite reads and of the packages that the project runs on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from arkd.cli.fetch import SMOLLM2, encoders
from arkd.data import source as sources
from arkd.data.public_tasks import SOURCES
from arkd.paths import benchmarks_dir
from arkd.storage.wheels import WHEELS
from arkd.suite.folders import Tree
from arkd.suite.settings import Cut, Folder, Hub, Pretrained, Scratch

HEAD = ("kind", "what", "licence")
PROJECT = "arkd"
UNDECLARED = "not declared"
ON_ITS_CARD = f"{UNDECLARED} here; its card on the hub has it"
OURS = "Apache-2.0"  # of what the project ships
Row = tuple[str, str, str]


def of_suite(tree: Tree) -> list[Row]:
    """Return the licences of a suite's data, models and encoder of texts, as they are declared."""
    suite, spec = tree.suite, tree.suite.data
    rows = [("data", *stated) for stated in sources.find(spec.source).licences(spec).items()]
    rows += [("data", SOURCES[task].repo, SOURCES[task].licence) for task in suite.public_tasks]
    models: dict[str, str] = {}
    for name in (pair.name for pair in suite.pairs):
        placed, named = tree.pair(name), suite.pair(name)
        for spec_, shown in ((placed.teacher, named.teacher), (placed.student, named.student)):
            models |= _of_model(spec_, shown)
    rows += [("model", *stated) for stated in models.items()]
    for name in encoders(suite):
        read = _of_wheel(name) if name in WHEELS else {name: ON_ITS_CARD}
        rows += [("metric", *stated) for stated in read.items()]
    return rows


def _of_model(
    spec: Scratch | Pretrained | Folder | Hub | Cut,
    shown: Scratch | Pretrained | Folder | Hub | Cut,
) -> dict[str, str]:
    if isinstance(spec, Pretrained):
        return _of_wheel(SMOLLM2)
    if isinstance(spec, Hub):
        return {spec.repo: ON_ITS_CARD}
    if isinstance(spec, Folder) and isinstance(shown, Folder):
        ours = Path(spec.path).is_relative_to(benchmarks_dir().absolute())
        return {shown.path: OURS if ours else _of_card(Path(spec.path) / "README.md")}
    return {}  # made in the run


def _of_wheel(name: str) -> dict[str, str]:
    wheel = WHEELS[name]
    return {f"{wheel.requirement}: {wheel.holds}": wheel.licence}


def _of_card(card: Path) -> str:
    """Return the licence that the head of a model's card names."""
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    head = re.match(r"---\n(.*?)\n---\n", text, re.S)
    named = re.search(r"^license: *(\S.*)$", head[1], re.M) if head else None
    return named[1] if named else UNDECLARED


def of_packages() -> list[Row]:
    """Return the licences of what the project needs and what that needs, where installed."""
    found: dict[str, Distribution] = {}
    todo = [Requirement(PROJECT)]
    seen: set[str] = set()
    while todo:
        wanted = todo.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        try:
            made = distribution(wanted.name)
        except PackageNotFoundError:
            continue
        found[canonicalize_name(wanted.name)] = made
        todo += _needs(made, wanted.extras)
    if not found.pop(PROJECT, None):
        return [("package", PROJECT, "not installed, so that nothing says what it needs")]
    return [
        ("package", f"{name}=={made.version}", licence(made))
        for name, made in sorted(found.items())
    ]


def _needs(made: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in made.requires or ():
        needed = Requirement(text)
        marker = needed.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield needed


def licence(made: Distribution) -> str:
    """Return what a distribution's metadata say: an expression, else classifiers, else a word."""
    metadata = made.metadata
    if expression := metadata.get_all("License-Expression"):
        return str(expression[0])
    classified = [
        value.rpartition(" :: ")[2]
        for value in metadata.get_all("Classifier") or ()
        if value.startswith("License ::")
    ]
    if classified:
        return ", ".join(sorted(set(classified)))
    text = "".join(metadata.get_all("License") or ()).strip()
    return text if text and "\n" not in text else UNDECLARED
