"""What a suite says of its user's own data: files, or splits of the hub's data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from arkd.data.files.hub_split import HubSplit
from arkd.data.instructions.plain_text import Corpus
from arkd.data.instructions.prompts import Template
from arkd.data.source import DataSpec, Place, Row

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


class FilesSpec(DataSpec):
    """Where the files lie, from the folder of the suite's own file, and how they are read.

    Training, development and tests may also be splits of the hub's data sets: `hub_split.FORM`.
    """

    source: Literal["files"] = Field("files", description="which builder makes the data")
    train: str = Field(description="rows that the students train on")
    dev: str | None = Field(
        None, description="rows for choices made before the tests; none: split off from train"
    )
    tests: dict[Name, str] = Field(
        min_length=1, description="by the name of the test set; the first is in distribution"
    )
    corpus: Corpus | None = Field(None, description="D_p, the plain text of L_pt; none: none")
    dev_examples: int = Field(100, ge=1, description="rows split off from train where dev is none")
    max_rows: int | None = Field(None, ge=1, description="of each file, a draw; none: all")
    data_seed: int = Field(1, description="seed of the split and of the draws")
    template: Template = Field("alpaca", description="of rows that have an instruction")
    separator: str = Field("", description="put before every answer that does not begin with it")
    ignore: tuple[str, ...] = Field(
        (), description="keys of rows that hold text and are to be left unread, such as context"
    )
    chat_template: str | None = Field(
        None, description="folder of the tokenizer whose chat template writes conversations"
    )
    chat_options: dict[str, bool | int | str] = Field(
        {}, description="passed to that template, such as enable_thinking: false"
    )

    @field_validator("train", "dev", "tests")
    @classmethod
    def _splits(cls, value: Any) -> Any:
        """Refuse what begins as a split of the hub's and is none."""
        for named in value.values() if isinstance(value, dict) else [value]:
            HubSplit.of(named or "")
        return value

    @property
    def roles(self) -> list[str]:
        """What is read, in the order of the suite."""
        return list(self._named)

    @property
    def _named(self) -> dict[str, str]:
        """What is read by what it is: the stems of the files that are written."""
        named = {"train": self.train, "dev": self.dev}
        named |= {f"test_{name}": path for name, path in self.tests.items()}
        named |= {"corpus": self.corpus.path if self.corpus else None}
        return {role: path for role, path in named.items() if path}

    @property
    def paths(self) -> dict[str, Path]:
        """The user's files by what they are."""
        return {r: Path(n) for r, n in self._named.items() if not HubSplit.of(n)}

    @property
    def splits(self) -> dict[str, HubSplit]:
        """The splits of the hub's data sets by what they are."""
        return {r: split for r, n in self._named.items() if (split := HubSplit.of(n))}

    def placed(self, place: Place) -> FilesSpec:
        """Return the spec with its files where a suite's paths lead."""

        def placed(named: str) -> str:
            return named if HubSplit.of(named) else str(place(named))

        found: Row = {"train": placed(self.train), "dev": self.dev and placed(self.dev)}
        found["tests"] = {name: placed(path) for name, path in self.tests.items()}
        found["corpus"] = self.corpus and self.corpus.placed(place)
        found["chat_template"] = str(place(self.chat_template)) if self.chat_template else None
        return self.model_copy(update=found)
