"""One mark a method, the same in every figure: colour, shape and how it is filled.

Colours are those of Okabe and Ito, safe for colour-blind readers. Shape and filling tell the usual
methods apart in grey. A row that changes a setting has its method's mark half filled, and the
setting decides which half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from arkd.suite.folders import INIT, TEACHER, UNTRAINED

BLACK, BLUE, RED, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
PINK, SKY, ORANGE, GREY = "#CC79A7", "#56B4E9", "#E69F00", "0.45"
COLOURS = (BLACK, BLUE, RED, GREEN, PINK, SKY, ORANGE)
MARKERS = "os^Dv<>pP*Xhd"
FULL, HOLLOW, HALVES = "full", "none", ("left", "right", "top", "bottom")  # fillings


@dataclass(frozen=True)
class Mark:
    """How a row is drawn: shape and filling tell it apart, colour only helps."""

    colour: str = BLACK
    marker: str = "o"
    fill: str = FULL

    def style(self, size: float = 6.0) -> dict[str, Any]:
        """Return the keywords of a point of a size in points."""
        hollow = self.fill == HOLLOW
        found = {"marker": self.marker, "color": self.colour, "ms": size, "ls": "none"}
        found["mfc"] = "white" if hollow else self.colour
        half = {"fillstyle": self.fill, "markerfacecoloralt": "white"}
        return found | (half if self.fill in HALVES else {})


# In the order in which a figure names methods where it has no room for all.
METHODS: dict[str, Mark] = {
    "arkd": Mark(RED, "^"),
    "forward_kl": Mark(BLUE, "o"),
    "reverse_kl": Mark(GREEN, "s"),
    "fixed_mix": Mark(PINK, "D"),
    "greedy_min": Mark(ORANGE, "v"),
    "sft": Mark(GREY, "p"),
    "seqkd": Mark(BLACK, "h"),
    "akl": Mark(SKY, "P"),
    "linear_dec": Mark(BLACK, "<"),
    "linear_inc": Mark(GREY, ">"),
    "arkd_sampled": Mark(RED, "d"),
    "arkd_code": Mark(RED, "X"),
    "static_018": Mark(SKY, "D", HOLLOW),
    "frozen_policy": Mark(SKY, "^", HOLLOW),
    "random_alpha": Mark(SKY, "o", HOLLOW),
    "replay_figure5": Mark(SKY, "v", HOLLOW),
    "replay_alpha": Mark(SKY, "s", HOLLOW),
    "minillm": Mark(BLACK, "d", HOLLOW),
    "contrastive": Mark(GREY, "*"),
    "jsd": Mark(PINK, "P", HOLLOW),
    "distillm": Mark(BLUE, "<", HOLLOW),
    "gkd": Mark(GREEN, ">", HOLLOW),
    "taid": Mark(ORANGE, "h", HOLLOW),
    "skew_kl": Mark(BLUE, "p", HOLLOW),
    "skew_rkl": Mark(GREEN, "*", HOLLOW),
    "tvd": Mark(PINK, "s"),
    "alpha_beta": Mark(PINK, "v"),
    "amid": Mark(PINK, "^"),
    "todi": Mark(PINK, "X"),
    "drkl": Mark(GREEN, "D"),
    "bdkd": Mark(BLUE, "s"),
    "csd": Mark(BLUE, "^"),
    "ce_kd": Mark(BLUE, "d"),
    "adakd": Mark(ORANGE, "o"),
    "bridge_garden": Mark(ORANGE, "s"),
    "opd": Mark(GREEN, "o"),
    "eopd": Mark(GREEN, "v"),
    "iw_opd": Mark(GREEN, "P"),
    "vopd": Mark(GREEN, "p"),
    "veto": Mark(GREEN, "h"),
    "skd": Mark(GREEN, "d"),
    "fixed_advantage": Mark(SKY, "P", HOLLOW),
}
CONTROLS = {
    TEACHER: Mark(BLACK, "*"),
    INIT: Mark(BLACK, "s", HOLLOW),
    UNTRAINED: Mark(BLACK, "X", HOLLOW),
}


def mark(row: str) -> Mark:
    """Return the mark of a row, whatever else the figure shows."""
    if row in CONTROLS:
        return CONTROLS[row]
    name, _, changed = row.partition("@")
    found = METHODS.get(name) or _of_name(name)
    half = HALVES[crc32(changed.encode()) % len(HALVES)]
    return Mark(found.colour, found.marker, half) if changed else found


def by_renown(rows: Sequence[str]) -> list[str]:
    """Return rows in the order in which they are named: unchanged and known methods first."""
    known = [*METHODS]

    def place(row: str) -> tuple[bool, int]:
        name, _, changed = row.partition("@")
        return bool(changed), known.index(name) if name in METHODS else len(known)

    return sorted(rows, key=place)


def _of_name(name: str) -> Mark:
    """Return the mark of a method that the table does not know: its name decides."""
    used = {*METHODS.values(), *CONTROLS.values()}
    every = [Mark(c, m, fill) for fill in (FULL, HOLLOW) for m in MARKERS for c in COLOURS]
    free = [drawn for drawn in every if drawn not in used]
    return free[crc32(name.encode()) % len(free)]
