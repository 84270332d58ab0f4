"""What is read from files and checked key by key: its base, and what is said of a mistake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from arkd.errors import nearest


class Frozen(BaseModel):
    """A part of a file: immutable; unknown keys, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy without the cached properties, which follow from the values that may change."""
        copied = super().model_copy(update=update, deep=deep)
        for derived in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[derived]
        return copied

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, value: Any) -> Any:
        """Name the nearest key, which pydantic's own refusal does not."""
        for key in value if isinstance(value, dict) else ():
            if key not in cls.model_fields:
                hint = {"hint": nearest(str(key), cls.model_fields)}
                unknown = PydanticCustomError("unknown_key", "unknown key{hint}", hint)
                details = InitErrorDetails(type=unknown, loc=(str(key),), input=value[key])
                raise ValidationError.from_exception_data(cls.__name__, [details])
        return value


def json_schema(model: type[BaseModel]) -> str:
    """Return the JSON Schema of a file as text, as `benchmarks/schema/` holds it."""
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(draft | model.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def problem(error: ValidationError, value: Any = None, names: tuple[str, ...] = ()) -> str:
    """Say the first problem of what was read as `key: what is wrong (found …)`.

    Args:
        error: What pydantic says.
        value: What was read.
        names: Keys by which items of a list are named in the place of their number.
    """
    first = error.errors()[0]
    where, kind = place(error, value, names), first["type"]
    message = first["msg"].removeprefix("Value error, ")
    if kind == "missing":
        message = "this key is required"
    elif where and kind != "unknown_key":
        message += f" (found {shown(first['input'])})"
    return f"{where}: {message}" if where else message


def shown(value: Any) -> str:
    """Return a value as an error cites it: short, and of a mapping or a long list only its size."""
    if isinstance(value, dict) or (isinstance(value, list | tuple | set) and len(value) > 5):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    try:
        found = repr(value)
    except ValueError:  # a number of more digits than Python writes out
        return "a number of thousands of digits"
    return found if len(found) <= 80 else f"{found[:77]}..."


def place(error: ValidationError, value: Any = None, names: tuple[str, ...] = ()) -> str:
    """Return the place of the first problem by the keys of the file, joined by dots.

    Pydantic names the members of a union as well, which no file has.
    """
    words = []
    loc = error.errors()[0]["loc"]
    for part in loc:
        tags = (value.get("kind"), value.get("source")) if isinstance(value, dict) else ()
        inside = isinstance(value, dict) and part in value
        inside |= isinstance(value, list) and isinstance(part, int) and part < len(value)
        if inside:
            value = value[part]
            labels = [value[name] for name in names if isinstance(value, dict) and name in value]
            words.append(str(labels[0] if labels else part)[:80])
        elif part is loc[-1] and part not in tags:
            words.append(str(part)[:80])
    return ".".join(words)
