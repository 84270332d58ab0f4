"""Two files say the same if nothing but rounding tells them apart."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from arkd.audit.tolerance import RELATIVE, same_files
from arkd.storage.records import significant


def written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def same(root: Path, a: str, b: str, suffix: str = "csv", behind: str = "") -> bool:
    made = written(root / "made", f"t.{suffix}", b)
    if suffix != "csv":
        written(root / "made", "t.csv", behind)
    return same_files(written(root / "kept", f"t.{suffix}", a), made)


@pytest.mark.parametrize(
    ("kept", "made"),
    [
        ("17.159109706429426", "17.15910971"),  # as earlier versions wrote it
        ("100.0", "100"),
        ("1.000000000", "1.000000001"),  # one unit, in the number where it weighs most
        ("-2.5e-16", "0"),
        ("-0.0", "0"),
        ("1e-05", "0.00001"),
    ],
)
def test_numbers_that_rounding_moved_are_the_same(kept: str, made: str, tmp_path: Path) -> None:
    assert same(tmp_path, f"arkd,{kept},n/a\n", f"arkd,{made},n/a\n")


@pytest.mark.parametrize(
    ("kept", "made"),
    [
        ("arkd,24.5\n", "arkd,24.5000245\n"),  # a millionth
        ("arkd,24.5\n", "arkd,24.5000001\n"),
        ("arkd,1e-08\n", "arkd,0\n"),
        ("arkd,24.5\n", "ARKD,24.5\n"),
        ("arkd,n/a\n", "arkd,0\n"),
        ("arkd,3\n", "arkd,\u0663\n"),  # the digit three, of another script
        ("arkd,1_0\n", "arkd,10\n"),
        ("arkd,1,2\n", "arkd,1\n"),
        ("arkd,1\n", "arkd,1\narkd,1\n"),
        ("arkd,1 2\n", "arkd,1 2.0\n"),  # a list of seeds is a text
    ],
)
def test_anything_else_is_not(kept: str, made: str, tmp_path: Path) -> None:
    assert not same(tmp_path, kept, made)
    assert not same(tmp_path, made, kept)


@pytest.mark.parametrize("suffix", ["md", "tex"])
@pytest.mark.parametrize(
    ("kept", "made", "behind", "expected"),
    [
        ("| 24.4 |", "| 24.5 |", "24.45", True),
        ("| 24.4 |", "| 24.5 |", "24.45000000001", True),
        ("| 24.4 |", "| 24.5 |", "24.46", False),  # no rounding gives the first
        ("| 24.4 |", "| 24.6 |", "24.5", False),
        ("| 24.4 |", "| 24.50 |", "24.45", False),
        ("| −0.4 |", "| −0.5 |", "-0.45", True),
        ("| $-$0.4 |", "| $-$0.5 |", "-0.45", True),
        ("| −0.4 |", "| 0.5 |", "-0.45", False),
        ("| 0 |", "| −1 |", "-0.5", True),
        ("| **24.4** |", "| 24.5 |", "24.45", False),  # set bold in one alone
        ("| 24.4 |", "| 24.4 |", "7", True),
    ],
)
def test_a_shown_number_may_jump_only_where_the_one_behind_it_lies_between(
    suffix: str, kept: str, made: str, behind: str, expected: bool, tmp_path: Path
) -> None:
    assert same(tmp_path, kept, made, suffix, f"method,value\narkd,{behind}\n") == expected


@pytest.mark.parametrize("spoilt", [b"\xff\xfe", b"arkd,\x00\n"])
@pytest.mark.parametrize("suffix", ["csv", "md"])
def test_what_is_no_text_any_more_is_not_the_same(
    spoilt: bytes, suffix: str, tmp_path: Path
) -> None:
    made = written(tmp_path / "made", f"t.{suffix}", "arkd,1\n")
    written(tmp_path / "made", "t.csv", "arkd,1\n")
    kept = written(tmp_path / "kept", f"t.{suffix}", "")
    kept.write_bytes(spoilt)
    assert not same_files(kept, made)


def test_a_written_number_has_ten_digits_and_zero_no_sign() -> None:
    numbers = [1 / 3, -0.0, 0.0, 100.0, 123456789012.0, 1e-7 / 3]
    assert [significant(x) for x in numbers] == [
        *("0.3333333333", "0", "0", "100", "1.23456789e+11", "3.333333333e-08"),
    ]


def test_noise_never_moves_a_written_number_out_of_the_tolerance() -> None:
    # A number in the middle of two written ones goes to either side by its last bit.
    for middle in (1.0000000005, 99.999999995, 3.14159265355, -2.0000000005e-7):
        a, b = math.nextafter(middle, -math.inf), math.nextafter(middle, math.inf)
        one, other = float(significant(a)), float(significant(b))
        assert math.isclose(one, other, rel_tol=RELATIVE)
