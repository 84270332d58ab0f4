"""Text for LaTeX: special characters, the field's symbols, and how wide a text is set."""

from __future__ import annotations

import re

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\u00a0": "~",
    "–": "--",
    "—": "---",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "…": r"\dots{}",
    "•": r"\textbullet{}",
    "§": r"\S{}",
    "°": r"$^\circ$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "²": "$^2$",
    "³": "$^3$",
    "½": r"$\frac{1}{2}$",
    "−": "$-$",
}
MATH = {  # set as $command$
    **{"±": "pm", "×": "times", "·": "cdot", "≥": "geq", "≤": "leq", "≈": "approx", "≠": "neq"},
    **{"→": "rightarrow", "←": "leftarrow", "↑": "uparrow", "↓": "downarrow", "⇒": "Rightarrow"},
    **{"‖": "|", "∞": "infty", "∑": "sum", "∈": "in", "∂": "partial", "∇": "nabla", "√": "surd"},
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta"},
    **{"η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu"},
    **{"ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "varphi"},
    **{"χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta"},
    **{"Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega"},
}
LATEX = SPECIAL | {character: rf"$\{command}$" for character, command in MATH.items()}
# Letters of western and central Europe, which pdfTeX reads as UTF-8 and sets in T1.
LETTERS = re.compile("[À-ÖØ-öø-ſ]")
LIGATURE = r"([-'`,])(?=\1)"  # two of these would be set as one

# Widths in units of the type size as Computer Modern has them, rounded up; all others are 0.51.
WIDTHS = {
    **dict.fromkeys(" ijl.,:;'!|[]", 0.31),
    **dict.fromkeys("frst()-†_I", 0.4),
    **dict.fromkeys("bdhknpquvxy", 0.56),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZw&", 0.76),
    **dict.fromkeys("m%+=<>±×−@≥≤≈≠", 0.84),
    **dict.fromkeys("MW→←⇒", 1.03),
}


def escape(text: str) -> str:
    """Return text that LaTeX prints as it stands; what it cannot print is named by its code."""
    return re.sub(rf"{LIGATURE}|.", _character, text, flags=re.DOTALL)


def breakable(text: str) -> str:
    """Return escaped text that may break within a method's label, in a narrow column."""
    return re.sub(r"(\\_|[@=,/])(?=\S)", r"\1\\allowbreak{}", escape(text))


def ems(text: str) -> float:
    """Return the width of a text in units of the type size, roughly and not too small."""
    return sum(WIDTHS.get(character, 0.51) for character in text)


def _character(match: re.Match[str]) -> str:
    character = match[0]
    if match[1]:
        return character + "{}"
    if character in LATEX:
        return LATEX[character]
    if character.isspace():
        return " "
    if character.isascii() or LETTERS.match(character):
        return character
    return f"[U+{ord(character):04X}]"
