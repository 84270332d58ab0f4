"""The plain text D_p of the language-modelling loss L_pt; the ARKD paper does not name it.

MiniLLM's is OpenWebText: `{repo: Skylion007/openwebtext, revision:
b4325f019c648b1641a1784748667e8b74e5e064, file: plain_text/train-00000-of-00080.parquet}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from arkd.data.instructions.formats import read_rows
from arkd.data.instructions.origins import Remote
from arkd.errors import ArkdError
from arkd.paths import expanded
from arkd.storage.files import sha256_file
from arkd.validated import Frozen


class Corpus(Frozen):
    """One file of documents: `.parquet` or `.jsonl` with a column of text, `.txt` one a line."""

    path: str | None = Field(None, description="a file of one's own, from the suite's folder")
    repo: str | None = Field(None, description="else a data set of the hub, owner/name,")
    revision: str | None = Field(None, description="its commit, all 40 digits,")
    file: str | None = Field(None, description="and the path in it")
    sha256: str | None = Field(None, description="of the hub's file")
    column: str = Field("text", description="where the text stands")
    rows: int | None = Field(None, gt=0, description="the first so many documents; none: all")

    @model_validator(mode="after")
    def _is_one_place(self) -> Corpus:
        given = sum(value is not None for value in (self.repo, self.revision, self.file))
        if given != (0 if self.path else 3):
            raise ValueError("give path alone, or repo, revision and file")
        if not self.path:
            self.remote()  # which checks them
        return self

    def remote(self) -> Remote:
        """Return the file of the hub."""
        return Remote(
            host="hub",
            repo=self.repo or "",
            revision=self.revision or "",
            file=self.file or "",
            sha256=self.sha256,
        )

    def placed(self, place: Callable[[str], Path]) -> Corpus:
        """Return the same with its own file where a suite's paths lead."""
        return self.model_copy(update={"path": str(place(self.path))}) if self.path else self

    def documents(self, sources: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the documents in the file's order, empty ones left out, and note their source.

        Raises:
            ArkdError: no such file, no such column, or the hub is out of reach.
        """
        path = expanded(self.path) if self.path else self.remote().fetch()[0]
        if not path.is_file():
            raise ArkdError(f"{path}: no such file; correct data.corpus.path")
        found = (text.strip() for text in self._read(path))
        kept = list(islice((text for text in found if text), self.rows))
        origin = {"path": path.name} if self.path else self.remote().model_dump(exclude={"sha256"})
        sources["corpus"] = origin | {"sha256": sha256_file(path)}
        return [{"id": number, "text": text} for number, text in enumerate(kept)]

    def _read(self, path: Path) -> Iterator[str]:
        remedy = "correct data.corpus.column"
        if path.suffix == ".parquet":
            import pyarrow.parquet

            with pyarrow.parquet.ParquetFile(path) as file:
                if self.column not in file.schema_arrow.names:
                    raise ArkdError(f"{path}: no column '{self.column}'; {remedy}")
                for batch in file.iter_batches(1000, columns=[self.column]):
                    yield from (str(text or "") for text in batch.column(0).to_pylist())
        elif path.suffix == ".txt":
            with path.open(encoding="utf-8") as lines:
                yield from lines
        else:
            for place, row in read_rows(path):
                if not isinstance(row.get(self.column), str):
                    raise ArkdError(f"{place}: no text in '{self.column}'; {remedy}")
                yield row[self.column]
