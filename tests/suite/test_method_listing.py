"""What a listing groups methods by follows from the class, and a wrong word is named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from arkd.errors import ArkdError
from arkd.suite import method_listing as catalogue
from arkd.suite import registry


@pytest.mark.parametrize(
    ("name", "axis"),
    [
        ("sft", "sequence level"),  # no teacher
        ("seqkd", "sequence level"),  # the teacher's text alone
        ("gkd", "prefix"),  # draws while training
        ("contrastive", "prefix"),  # drawn beforehand
        ("opd", "prefix"),
        ("eopd", "adaptive"),  # on the student's responses, but says what is new
        ("akl", "adaptive"),
        ("jsd", "divergence"),
        ("fixed_mix", "divergence"),
    ],
)
def test_a_method_varies_what_it_says_or_what_it_declares(name: str, axis: str) -> None:
    assert catalogue.row(name).varies == axis


def test_rows_come_group_by_group_and_by_name_within() -> None:
    names = ["sft", "skew_kl", "gkd", "akl", "jsd"]
    found = catalogue.grouped(catalogue.row(name) for name in names)
    assert [row.name for row in found] == ["jsd", "skew_kl", "akl", "gkd", "sft"]
    again = catalogue.grouped(replace(row, name=row.name.upper()) for row in reversed(found))
    assert [row.name.lower() for row in again] == [row.name for row in found]


def test_an_unknown_axis_is_refused_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Odd(registry.method_class("jsd")):  # type: ignore[misc]
        varies: ClassVar[Any] = "colour"

    monkeypatch.setattr(registry, "method_class", lambda name: Odd)
    with pytest.raises(ArkdError, match=r"must be one of divergence, adaptive.*found 'colour'"):
        catalogue.row("jsd")
