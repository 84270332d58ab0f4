"""An audit as a page: in the terminal, as Markdown, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from arkd import grid as grids
from arkd.grid import Grid, Look
from arkd.loss_audit.facts import Audit, Fact, slug
from arkd.storage.files import write_json, write_text

HEAD = ("", "property", "measured", "declared")
WIDTH = 72  # characters of a line of what was measured
IMPORTS = """from arkd.loss_audit.batches import apart, draw
from arkd.loss_audit.probe import measure
from arkd.loss_audit.targets import resolve
"""
# The call that shows a finding, `loss` being the resolved target.
CALLS = {
    "beta": "measure(loss, draw(), beta=0.1).grad_BTV",
    "beta → 0": "[measure(loss, draw(), beta=beta).norm for beta in (0.0, 0.01)]",
    "beta → 1": "[measure(loss, draw(), beta=beta).norm for beta in (0.99, 1.0)]",
    "temperature": "measure(loss, draw(), temperature=2.0).grad_BTV",
    "mask": "measure(loss, draw()).grad_BTV.norm(dim=-1), draw().labels_BT",
    "shift": "measure(loss, draw()).grad_BTV.norm(dim=-1), draw().labels_BT",
    "padding": "measure(loss, draw()).value, measure(loss, draw().padded(7)).value",
    "clamp": "[measure(loss, apart(spread)).value for spread in (1.0, 3.0, 10.0, 30.0)]",
    "finite logits": "[measure(loss, apart(spread)).finite for spread in (1.0, 3.0, 10.0, 30.0)]",
    "agreement": "measure(loss, draw().with_student(0.5 * draw().student_BTV)).value",
    "teacher gradient": "measure(loss, draw(), teacher_gradient=True).teacher_BTV.norm()",
    "bfloat16": "measure(loss, draw(), dtype=torch.bfloat16).value, measure(loss, draw()).value",
    "impossible tokens": "student, teacher = draw().student_BTV, draw().teacher_BTV\n"
    'student[..., :16] = teacher[..., :16] = -float("inf")\n'
    "measure(loss, draw().with_student(student).with_teacher(teacher)).value",
}
USUAL = "measure(loss, draw()).value, measure(loss, draw()).grad_BTV"


def show(audit: Audit) -> None:
    """Print a page."""
    console = grids.terminal()
    rows = [_row(fact) for fact in audit.facts]
    styles = {
        (place, column): "bold red"
        for place, fact in enumerate(audit.facts)
        if fact.finding
        for column in (0, 1)
    }
    look = Look(_title(audit), left=len(HEAD), folded={2: WIDTH, 3: 28}, styles=styles)
    grids.show(Grid(HEAD, rows, left=len(HEAD)), console, look)
    if audit.note:
        console.print(audit.note, style="dim")
    console.print(_verdict(audit))
    console.print()


def to_json(audits: Sequence[Audit]) -> str:
    """Return audits as one JSON array."""
    return json.dumps([audit.to_json() for audit in audits], indent=1, ensure_ascii=False)


def markdown(audit: Audit) -> str:
    """Return a page, with the call that shows each finding."""
    rows = [_row(fact) for fact in audit.facts]
    about = "; ".join(text for text in (audit.version, audit.environment) if text)
    parts = [
        f"# `{audit.target}`",
        f"{about}; made by `arkd audit {audit.target}`.",
        audit.note,
        grids.to_markdown(Grid(HEAD, rows, left=len(HEAD))),
        _verdict(audit),
        _reproduction(audit),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(audit: Audit, folder: Path) -> list[Path]:
    """Write a page as Markdown and JSON; return both files."""
    paths = [folder / f"{slug(audit.target)}.{ending}" for ending in ("md", "json")]
    write_text(paths[0], markdown(audit))
    write_json(paths[1], audit.to_json())
    return paths


def _row(fact: Fact) -> list[str]:
    return ["finding" if fact.finding else "", fact.property, fact.measured, fact.declared]


def _title(audit: Audit) -> str:
    return f"{audit.target}  ({audit.version})" if audit.version else audit.target


def _verdict(audit: Audit) -> str:
    count = len(audit.findings)
    names = ", ".join(fact.property for fact in audit.findings)
    return f"{count} finding{'s' if count > 1 else ''}: {names}" if count else "no finding"


def _reproduction(audit: Audit) -> str:
    """Return the calls that show what was found, as one block of Python."""
    if not audit.findings:
        return ""
    lines = ["import torch", "", IMPORTS, f'loss = resolve("{audit.target}")']
    for fact in audit.findings:
        lines += [f"# {fact.property}", CALLS.get(fact.property, USUAL)]
    return "Reproduce:\n\n```python\n" + "\n".join(lines) + "\n```"
