"""Hold a verdict's sentences against the comparisons of its claim.

A sentence is read clause by clause. Names in a clause (an opponent, a test set, a measure) choose
the comparisons it speaks of; without names it speaks of all. Its relation ("above", "open") must be
true of every one of them, or of as many as it says ("two of ten"). The convention that makes this
possible: each clause names what it speaks of, and takes from the clause before it in the sentence
the opponent, test set and relation that it leaves out. Relations are not negated. Numbers are
written `5.6`, `0.1 ± 0.7`, `2.4 [−0.5, 5.3]`, `2.1 to 3.9` or `up to 0.048`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Row = dict[str, str]

# What a comparison may be named by. Names of one kind are alternatives; kinds narrow each other.
NAMES: dict[str, dict[str, Callable[[Row], bool]]] = {
    "opponent": {
        "SFT": lambda r: r["b"] == "sft",
        "SeqKD": lambda r: r["b"] == "seqkd",
        "forward KL": lambda r: r["b"] == "forward_kl",
        "reverse KL": lambda r: r["b"] == "reverse_kl",
        "even mix": lambda r: r["b"] == "fixed_mix",
        "MiniLLM": lambda r: r["b"] == "minillm",
        "baseline of zero": lambda r: "first_baseline=zero" in r["a"] + r["b"],
    },
    "test set": {
        "in distribution": lambda r: r["task"].endswith("_id"),
        "new templates": lambda r: r["task"].endswith("_template"),
        "rare entities": lambda r: r["task"].endswith("_rare"),
        "combined set": lambda r: r["task"].endswith("_combined"),
        "340M": lambda r: r["pair"].endswith("340M"),
    },
    "measure": {
        "first rank": lambda r: r["group"] == "rank_1",
        "beyond the tenth": lambda r: r["group"] == "rank_11_100",
        "tail recall": lambda r: r["metric"] == "tail_recall",
        "tail precision": lambda r: r["metric"] == "tail_precision",
        "JSD": lambda r: r["metric"] == "jsd",
        "ROUGE-L": lambda r: r["metric"] == "rouge_l",
        "total variation": lambda r: r["metric"] == "truth_error",
        "entropy": lambda r: r["metric"] == "truth_entropy_gap",
        "α": lambda r: r["metric"] == "alpha",
    },
    "test": {
        "T = 1": lambda r: r["test"] == "rouge_at_one",
        "at all": lambda r: r["test"] == "rouge_at_all",
        "our run": lambda r: r["test"] == "matched_run",
    },
}


def positive(row: Row) -> bool:
    """Whether the effect is above zero, with its interval where it has one."""
    return float(row["low"] or row["effect"]) > 0


def negative(row: Row) -> bool:
    """Whether the effect is below zero, with its interval where it has one."""
    return float(row["high"] or row["effect"]) < 0


def better(row: Row) -> bool:
    """Whether the effect lies on the better side of zero."""
    return negative(row) if row["direction"] == "less" else positive(row)


def worse(row: Row) -> bool:
    """Whether the effect lies on the worse side of zero."""
    return positive(row) if row["direction"] == "less" else negative(row)


# An open comparison bears out none of these.
EQUAL = (
    r"\bas (?:far|much|good|high|low)\b.*\bas\b|\bthe same as\b|\bis that of\b|"
    r"\bno (?:more|less|better|worse) than\b"
)
RELATIONS: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    (
        EQUAL,
        lambda r: r["decision"] == "holds" and r["direction"] == "equal",
    ),
    (
        r"\bcannot be told from\b",
        lambda r: r["decision"] == "open" and not positive(r) and not negative(r),
    ),
    (r"\bopen\b", lambda r: r["decision"] == "open"),
    (r"\bholds?\b|\bkeeps? the margin\b", lambda r: r["decision"] == "holds"),
    (
        r"\brefuted\b|\bruled out\b|\bfall short\b|\bother way\b",
        lambda r: r["decision"] == "refuted",
    ),
    (r"\bbetter\b|\bahead\b", better),
    (r"\bworse\b|\bbehind\b", worse),
    (r"\babove\b", positive),
    (r"\bbelow\b|\blower\b", negative),
)

COUNTS = {
    word: count
    for count, word in enumerate(
        (
            *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
            *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
            *("eighteen", "nineteen", "twenty"),
        ),
        start=1,
    )
}
COUNT = "|".join(COUNTS)
NEGATED = r"\b(?:no|none|not|never|neither|nor)\b"
NUMBER = r"[−-]?(?:\d[\d,]*)?\.?\d+"
NO_NUMBERS = r"GPT-2|\]\([^)]*\)|`[^`]*`|\b[Ee]q \d+|\b(?:Table|Figure) \d+|\b\d+M\b|\bT = \d"


@dataclass(frozen=True)
class Claim:
    """What a sentence may rest on: comparisons, the paper's range, and other numbers by text."""

    rows: list[Row]
    paper: str = ""
    statement: str = ""
    printed: tuple[float, ...] = ()
    quoted: tuple[str, ...] = ()


def rounds(value: float, text: str) -> bool:
    """Whether `text` is `value`, or its size where no sign is written, rounded as written."""
    digits = text.replace(",", "").replace("−", "-").rstrip("% ")
    value = value * 100 if text.endswith("%") else value
    value = value if digits.startswith("-") else abs(value)
    return abs(value - float(digits)) <= 0.5 * 10 ** -len(digits.partition(".")[2]) + 1e-9


def value(row: Row, key: str) -> float:
    """Return a number of a comparison; `reach` is the farthest end of its interval from zero."""
    if key == "reach":
        return max(abs(value(row, "low")), abs(value(row, "high")))
    if key == "half":
        return (value(row, "high") - value(row, "low")) / 2
    if key == "size":
        return abs(value(row, "effect"))
    return float(row[key] or "nan")


def clauses(meaning: str) -> Iterator[list[str]]:
    """Yield the clauses of each sentence."""
    for sentence in re.split(r"(?<=\.)\s+", meaning):
        parts = r"(?<=[;:])\s+|, (?=(?:and|but|while|where|both|all|among|as)\b)"
        yield [part for part in re.split(parts, sentence) if part]


def chosen(
    clause: str, rows: list[Row], names: dict[str, list[Callable[[Row], bool]]]
) -> list[Row]:
    """Return the comparisons that the names choose: primary ones where there are any."""
    for kind, words in NAMES.items():
        said = [test for word, test in words.items() if word.casefold() in clause.casefold()]
        said = [test for test in said if any(test(row) for row in rows)]
        if said or kind in ("measure", "test"):
            names[kind] = said
    tests = [said for said in names.values() if said]
    named = [row for row in rows if all(any(test(row) for test in said) for said in tests)]
    return [row for row in named if row["role"] == "primary"] or named


def asked(clause: str) -> tuple[int | None, int | None]:
    """Return how many comparisons the clause says have its relation, and of how many."""
    text = clause.casefold()
    if found := re.search(rf"\b({COUNT}) of (?:the )?({COUNT})\b", text):
        return COUNTS[found[1]], COUNTS[found[2]]
    if found := re.search(rf"\ball ({COUNT})\b", text):
        return COUNTS[found[1]], COUNTS[found[1]]
    if found := re.search(rf"\bother ({COUNT})\b|^({COUNT}) comparisons", text):
        return COUNTS[found[1] or found[2]], None
    return (2, None) if re.search(r"\bboth\b", text) else (None, None)


def problems(meaning: str, claim: Claim) -> list[str]:
    """Return what a verdict's sentences say that its comparisons do not bear out."""
    found = []
    for sentence in clauses(meaning):
        relation: Callable[[Row], bool] | None = None
        names: dict[str, list[Callable[[Row], bool]]] = {}
        for clause in sentence:
            of_paper = "paper" in clause or "prints" in clause
            said = next((test for words, test in RELATIONS if re.search(words, clause)), None)
            relation = None if of_paper else said or relation
            rows = chosen(clause, claim.rows, names)
            if relation is not None:
                true = [row for row in rows if relation(row)]
                count, total = asked(clause)
                if said is not None and re.search(NEGATED, re.sub(EQUAL, "", clause)):
                    found.append(f"negated: {clause}")
                if said is not None and not rows:
                    found.append(f"speaks of no comparison: {clause}")
                if total not in (None, len(rows)):
                    found.append(f"there are {len(rows)} comparisons: {clause}")
                if len(true) != (len(rows) if count is None else count):
                    found.append(f"true of {len(true)} of {len(rows)}: {clause}")
                rows = true
            found += [f"{text}: {clause}" for text in wrong_numbers(clause, rows, claim)]
    return found


def wrong_numbers(clause: str, rows: list[Row], claim: Claim) -> Iterator[str]:
    """Yield the numbers of a clause that the comparisons do not have."""
    text = re.sub(NO_NUMBERS, " ", clause)
    intervals = [row for row in claim.rows if row["low"]]
    measured = [row for row in rows or claim.rows if row["low"]]
    number = rf"({NUMBER}(?: %)?)"
    kinds: tuple[tuple[str, Callable[..., bool]], ...] = (
        (
            rf"{number} \[{number}, {number}\]",
            lambda e, low, high: any(
                rounds(value(row, "effect"), e) and ends(row, low, high) for row in intervals
            ),
        ),
        (
            rf"{number} ± {number}",
            lambda e, half: any(
                rounds(value(row, "effect"), e) and rounds(value(row, "half"), half)
                for row in intervals
            ),
        ),
        (rf"\bbetween {number} and {number}", lambda a, b: span(a, b, measured, claim)),
        (rf"{number} to {number}", lambda a, b: span(a, b, measured, claim)),
        (
            rf"\bup to {number}",
            lambda n: bool(measured) and rounds(max(value(row, "reach") for row in measured), n),
        ),
        (
            rf"\b(?:within|less than|at most|no more than) {number}",
            lambda n: all(value(row, "reach") <= float(n.rstrip(" %")) for row in measured),
        ),
        (
            rf"\b(?:about|some|around|roughly) {number}",
            lambda n: any(
                all(rounds(value(row, key), n) for row in measured)
                for key in ("effect", "smallest_effect", "reach")
            ),
        ),
        (rf"\bby {number}", lambda n: all(rounds(value(row, "effect"), n) for row in rows)),
        (number, lambda n: n in claim.quoted or any(rounds(known, n) for known in pool(claim))),
    )
    for pattern, is_true in kinds:
        for match in re.finditer(pattern, text):
            if not is_true(*match.groups()) and not set(match.groups()) <= set(claim.quoted):
                yield match[0]
        text = re.sub(pattern, " ", text)


def ends(row: Row, low: str, high: str) -> bool:
    """Whether these are the ends of the comparison's interval."""
    return rounds(value(row, "low"), low) and rounds(value(row, "high"), high)


def span(first: str, last: str, rows: list[Row], claim: Claim) -> bool:
    """Whether a range is that of one quantity over all the comparisons, or one that was printed."""
    if any(f"{first} to {last}" in known for known in (claim.paper, claim.statement)):
        return True
    keys = (
        ("effect",) * 2,
        ("size",) * 2,
        ("smallest_effect",) * 2,
        ("reach",) * 2,
        ("low", "high"),
    )
    return bool(rows) and any(
        rounds(min(value(row, low) for row in rows), first)
        and rounds(max(value(row, high) for row in rows), last)
        for low, high in keys
    )


def pool(claim: Claim) -> Iterator[float]:
    """Yield every number that a sentence of the claim may state by itself."""
    for row in claim.rows:
        for key in ("effect", "low", "high", "half", "margin", "target", "smallest_effect"):
            if row[key if key != "half" else "low"]:
                yield value(row, key)
    yield from claim.printed
    for text in re.findall(NUMBER, claim.statement + " " + claim.paper):
        yield float(text.replace(",", "").replace("−", "-"))
