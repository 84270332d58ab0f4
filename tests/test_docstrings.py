"""What is public says what it takes and when it raises; names are nouns of what they hold."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for folder in ("arkd", "baselines")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
CLASSES = [n for tree in TREES.values() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
FEW = 3  # parameters that a first line can explain
GRAMMAR = {"own", "one", "of", "told", "asked"}


def lacking(section: str, needed: Callable[[ast.FunctionDef], bool]) -> Iterator[str]:
    """Yield the public functions that need a section of their docstring and have none."""
    for path, tree in TREES.items():
        for owner in (tree, *(n for n in tree.body if isinstance(n, ast.ClassDef))):
            private = getattr(owner, "name", "").startswith("_")
            for f in functions(owner) if not private else ():
                shown = not f.name.startswith("_") or f.name == "__init__"
                if shown and needed(f) and section not in written(owner, f):
                    yield f"{path}:{f.lineno} {f.name}"


def functions(owner: ast.Module | ast.ClassDef) -> list[ast.FunctionDef]:
    return [node for node in owner.body if isinstance(node, ast.FunctionDef)]


def written(owner: ast.Module | ast.ClassDef, f: ast.FunctionDef) -> str:
    """Return a docstring with the class's, of a constructor, or that of what it overrides."""
    text = ast.get_docstring(f) or ""
    if f.name == "__init__":
        return text + (ast.get_docstring(owner) or "")
    bases = {getattr(base, "id", "") for base in getattr(owner, "bases", ())}
    above = [(c, g) for c in CLASSES if c.name in bases for g in functions(c) if g.name == f.name]
    return text + "".join(written(*pair) for pair in above)


def test_functions_of_many_parameters_explain_each():
    def many(f: ast.FunctionDef) -> bool:
        names = {a.arg for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)}
        return len(names - {"self", "cls"}) > FEW

    assert [*lacking("Args:", many)] == []


def test_functions_that_raise_say_when():
    assert [*lacking("Raises:", lambda f: any(getattr(n, "exc", 0) for n in ast.walk(f)))] == []


def test_variables_and_arguments_are_no_words_of_grammar():
    nodes = [(path, node) for path, tree in TREES.items() for node in ast.walk(tree)]
    names = [(path, getattr(n, "id", getattr(n, "arg", ""))) for path, n in nodes]
    assert [f"{path}: {name}" for path, name in names if name in GRAMMAR] == []
