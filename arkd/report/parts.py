"""What `snakemake --report` lists: the suite's tables, figures and verdicts, by section.

They are the files that the stages before wrote; what is added is a caption beside each.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from arkd.claims.write import TITLE as VERDICTS
from arkd.storage.files import write_text
from arkd.tables.table import Table

KINDS = ("Tables", "Figures", "Claims")


def write(
    folder: Path,
    root: Path,
    sections: Iterable[tuple[str, Iterable[Table]]],
    figures: Iterable[Mapping[str, Any]],
    claims: Mapping[str, Any] | None,
    stale: Container[str],
) -> None:
    """Copy the files that are there to KIND/SECTION/NAME: category, subcategory and label.

    Args:
        folder: Where they go.
        root: The suite's folder, which has them.
        sections: The tables by section.
        figures: Name, title and caption of each figure.
        claims: The verdicts as the page shows them, if there are any.
        stale: The folders of which no file is copied.
    """
    for section, tables in sections if "tables" not in stale else ():
        for table in tables:
            path = root / "tables" / f"{table.name}.csv"
            _place(path, folder / "Tables" / section, rst(table.title, table.caption))
    for figure in figures if "figures" not in stale else ():
        path = root / "figures" / f"{figure['name']}.svg"
        _place(path, folder / "Figures" / "All", rst(figure["title"], figure["caption"]))
    if claims and claims["claims"]:
        path = root / "claims" / "claims.csv"
        _place(path, folder / "Claims" / "All", rst(VERDICTS, claims["lead"]))


def _place(file: Path, folder: Path, caption: str) -> None:
    if file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / file.name)
        write_text(folder / f"{file.stem}.rst", caption)


def rst(title: str, caption: str) -> str:
    """Return a title and a caption as reStructuredText that reads as it stands."""
    without_code = re.sub(r"`([^`]+)`", r"\1", caption)
    return f"**{_plain(title)}.** {_plain(without_code)}\n"


def _plain(text: str) -> str:
    return re.sub(r"([\\*`_|])", r"\\\1", text)
