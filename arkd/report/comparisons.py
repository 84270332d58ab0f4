"""Comparisons of `comparisons.csv` as the report shows them: in numbers, words and a drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup, escape

from arkd.claims.decision import EQUIVALENT, HOLDS, OPEN, REFUTED, Comparison
from arkd.claims.wording import DASH, EQUIVALENCE, describe, digits
from arkd.tables.write import number

Line = dict[str, str]  # a line of `comparisons.csv` or `claims.csv`
SYMBOLS = {HOLDS: "✓", REFUTED: "✗", EQUIVALENT: "≈", OPEN: "○"}
WIDTH, HEIGHT, EDGE = 120.0, 16.0, 6.0  # of an interval's drawing, in pixels
STRIP = 3.0  # high, of what counts as no effect


def of_claims(rows: Sequence[Line], comparisons: Sequence[Line]) -> Iterator[list[Line]]:
    """Yield the comparisons behind each verdict.

    Both files have one order: a claim's primary comparisons, as many as its row says, then its
    secondary ones. A pair does not tell them apart, since the paper's pairs stand there too.
    """
    at = 0
    for row in rows:
        start, primary = at, int(row["comparisons"] or 0)
        while at < len(comparisons) and comparisons[at]["claim"] == row["claim"]:
            wanted = "primary" if at - start < primary else "secondary"
            if comparisons[at]["role"] != wanted:
                break
            at += 1
        yield list(comparisons[start:at])


def view(line: Line, same_claim: Sequence[Line]) -> dict[str, Any]:
    """Return a comparison as the template draws it, beside the others of its claim."""
    compared = comparison(line)
    places = digits(compared)
    return {
        "what": describe(compared),
        "metric": " ".join(filter(None, (compared.metric, condition(line)))),
        "role": line["role"],
        "effect": rounded(line["effect"], places),
        "value": line["effect"],
        "p_value": line["p"],
        "power": line["smallest_effect"],
        "interval": interval(line, places),
        "level": level(line),
        "p": p_text(line["p"]),
        "decision": line["decision"],
        "symbol": SYMBOLS.get(line["decision"], DASH),
        "smallest": rounded(line["smallest_effect"], places),
        "n": line["n"] if line["n"] != "0" else DASH,
        "unit": line["unit"],
        "note": line["note"],
        "drawing": drawing(line, [other for other in same_claim if other["unit"] == line["unit"]]),
    }


def comparison(line: Line) -> Comparison:
    """Return a line as the comparison it describes, without its values."""
    names = ("claim", "test", "role", "kind", "pair", "a", "b", "task", "metric", "group", "unit")
    fields: Any = {name: line[name] for name in names}
    return Comparison(**fields)


def bounds(line: Line) -> tuple[float, float]:
    """Return the lower and upper boundary of the effect as it is shown."""
    if line["kind"] == "identity":  # the share of seeds whose students have the same bytes
        return 1.0, 1.0
    target, margin = float(line["target"] or 0), float(line["margin"] or 0)
    return target - margin, target + margin


def band(line: Line) -> tuple[float, float] | None:
    """Return between what an effect counts as none; None where that was not registered."""
    size, target = float(line.get(EQUIVALENCE) or 0), float(line["target"] or 0)
    return (target - size, target + size) if size else None


def condition(line: Line) -> str:
    """Say what the effect must be for the comparison to hold, and when it counts as none."""
    low, high = map(_plain, bounds(line))
    equal = low if low == high else f"{low} to {high}"
    must = {"greater": f"> {high}", "less": f"< {low}", "equal": equal}[line["direction"]]
    inside = band(line)
    return f"{must}; equivalent in {' to '.join(map(_plain, inside))}" if inside else must


def _plain(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def rounded(text: str, places: int) -> str:
    """Return a number of a CSV file rounded, a dash for none."""
    return number(float(text), places) if text else DASH


def interval(line: Line, places: int) -> str:
    """Return an adjusted interval, nothing where there is none."""
    if not line["low"] or not line["high"]:
        return ""
    return f"[{rounded(line['low'], places)}, {rounded(line['high'], places)}]"


def level(line: Line) -> str:
    """Return the adjusted level of an interval: 98.75 %."""
    return f"{float(line['level']) * 100:.4g}\u00a0%" if line["level"] else ""


def p_text(text: str) -> str:
    """Return a p value: three decimals, a smaller one as a bound."""
    if not text:
        return DASH
    return "< 0.001" if float(text) < 0.001 else number(float(text), 3)


def drawing(line: Line, scale_of: Sequence[Line]) -> Markup:
    """Return an interval on a line, the claimed side shaded; it repeats the numbers beside it.

    A strip at the bottom spans the effects that count as none.


    Args:
        line: The comparison drawn.
        scale_of: The comparisons that share its axis.
    """
    if not line["effect"]:
        return Markup("")
    ends = [
        float(other[key]) for other in scale_of for key in ("effect", "low", "high") if other[key]
    ]
    ends += [end for other in scale_of for end in (*bounds(other), *(band(other) or ()))]
    low, high = min(ends), max(ends)
    room = (high - low) or 1.0

    def at(value: float) -> float:
        return EDGE + (value - low) / room * (WIDTH - 2 * EDGE)

    lower, upper = map(at, bounds(line))
    left, right = {"greater": (upper, WIDTH), "less": (0.0, lower), "equal": (lower, upper)}[
        line["direction"]
    ]
    middle = HEIGHT / 2
    parts = [
        f'<rect class="claimed" x="{left:.1f}" y="0" width="{max(right - left, 1):.1f}" '
        f'height="{HEIGHT:g}"/>'
    ]
    for edge in sorted({left, right} - {0.0, WIDTH}):
        parts.append(f'<path class="bound" d="M{edge:.1f} 0V{HEIGHT:g}"/>')
    if inside := band(line):
        start, end = map(at, inside)
        parts.append(
            f'<rect class="band" x="{start:.1f}" y="{HEIGHT - STRIP:g}" '
            f'width="{end - start:.1f}" height="{STRIP:g}"/>'
        )
    if line["low"] and line["high"]:
        start, end = at(float(line["low"])), at(float(line["high"]))
        parts.append(f'<path class="reach" d="M{start:.1f} {middle:g}H{end:.1f}"/>')
    parts.append(f'<circle cx="{at(float(line["effect"])):.1f}" cy="{middle:g}" r="3"/>')
    return Markup(
        f'<svg class="interval {escape(line["decision"])}" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" '
        f'width="{WIDTH:g}" height="{HEIGHT:g}" aria-hidden="true">{"".join(parts)}</svg>'
    )
