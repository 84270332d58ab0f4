"""`submission.yaml`: who submits a run, of what, made by which code, under which licence."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from arkd.errors import ArkdError
from arkd.exchange.declared import Declared
from arkd.storage.names import NAME
from arkd.storage.yaml_text import parse_yaml, read_yaml
from arkd.validated import Frozen, json_schema, problem

FILE = "submission.yaml"
ADDRESS = r"^https://[^\s<>\"]+$"


class Person(Frozen):
    """Somebody who answers for a submission."""

    name: str = Field(min_length=1, max_length=200)
    affiliation: str | None = Field(None, max_length=200)
    contact: str | None = Field(
        None, max_length=200, description="address or page; kept here, the leaderboard has it not"
    )

    def __str__(self) -> str:
        """Return how the leaderboard names the person."""
        return f"{self.name} ({self.affiliation})" if self.affiliation else self.name


class Code(Frozen):
    """What made the run, as anybody can read it."""

    url: str = Field(pattern=ADDRESS, max_length=300, description="of the repository")
    commit: str = Field(pattern=r"^[0-9a-f]{40}$", description="full hash")


class Submission(Frozen):
    """A run that somebody submits."""

    name: str = Field(
        pattern=NAME, max_length=100, description="short, of a folder: results/submissions/NAME"
    )
    who: tuple[Person, ...] = Field(min_length=1)
    method: str = Field(
        min_length=1, max_length=500, description="what is new here, in a sentence or two"
    )
    paper: str | None = Field(
        None,
        pattern=ADDRESS,
        max_length=300,
        description="its address, shown on the leaderboard",
    )
    code: Code
    hardware: str = Field(
        min_length=1, max_length=300, description="what the students were trained on"
    )
    licence: str = Field(
        min_length=1,
        max_length=100,
        description="of records and samples: an SPDX identifier such as CC-BY-4.0",
    )
    rows: dict[str, Declared] = Field(
        default_factory=dict,
        description="what is to be said of rows that are not shipped, by their label",
    )
    note: str | None = Field(None, max_length=1000)


def read(path: Path) -> Submission:
    """Read and check a form.

    Raises:
        ArkdError: no such file, malformed YAML, a key that is missing, unknown, of a wrong value or
            as the form that is to be filled in has it.
    """
    data = read_yaml(path)
    try:
        found = Submission.model_validate(data)
    except ValidationError as error:
        raise ArkdError(f"{path}: {problem(error, data)}") from None
    empty = Submission.model_validate(parse_yaml(EXAMPLE, FILE))
    left = [key for key in ("who", "method", "paper") if getattr(found, key) == getattr(empty, key)]
    code = [(key, getattr(found.code, key), getattr(empty.code, key)) for key in Code.model_fields]
    left += [f"code.{key}" for key, value, template in code if value == template]
    if left:
        raise ArkdError(f"{path}: {', '.join(left)}: as the empty form has it; fill it in")
    return found


def schema() -> str:
    """Return the JSON Schema of the form as text, as `benchmarks/schema/` holds it."""
    return json_schema(Submission)


EXAMPLE = """\
# What is submitted; schema: benchmarks/schema/submission.schema.json
name: my-method-longtail          # names the folder results/submissions/NAME
who:
  - name: Ada Example
    affiliation: Example Institute  # optional
    contact: https://example.org    # optional; kept here, not shown
method: One sentence on what is new.
paper: https://example.org/paper    # optional
code:
  url: https://example.org/my-fork
  commit: "0000000000000000000000000000000000000000"
hardware: 2 cores of an Intel Xeon, 8 GB
licence: CC-BY-4.0                # of records and samples
rows: {}                          # facts about rows that are not shipped, such as
#  foreign:my-method: {prefixes: student, family: prefix, processor_s: 62}
"""
