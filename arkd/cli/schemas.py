"""The JSON Schemas of files that people write or read, from the models that check them."""

from __future__ import annotations

from pathlib import Path

from arkd.claims.registered import claims_schema
from arkd.exchange import form as submission
from arkd.leaderboard import form as leaderboard
from arkd.paths import benchmarks_dir
from arkd.storage.files import write_text

SCHEMAS = {
    "claims": claims_schema,
    "leaderboard": leaderboard.schema,
    "submission": submission.schema,
}


def write(folder: Path | None = None) -> list[Path]:
    """Write each schema into a folder, that of the checkout if none is given; return the files."""
    folder = folder or benchmarks_dir() / "schema"
    files = {folder / f"{name}.schema.json": schema for name, schema in SCHEMAS.items()}
    for path, schema in files.items():
        write_text(path, schema())
    return [*files]
