"""A reader of LaTeX tables that finds what pdfTeX would stumble over, for machines without TeX."""

from __future__ import annotations

import re
from collections.abc import Iterator

# What the project's tables may use; everything else may need a package that a reader has not.
PACKAGES = {"array", "booktabs", "graphicx", "longtable", "pdflscape"}
ENVIRONMENTS = {
    **{"table": None, "tabular": None, "longtable": "longtable", "landscape": "pdflscape"},
}
NEEDS = {
    **dict.fromkeys(("toprule", "midrule", "bottomrule", "addlinespace"), "booktabs"),
    **dict.fromkeys(("endfirsthead", "endhead", "endfoot", "LTcapwidth"), "longtable"),
    **dict.fromkeys(("arraybackslash",), "array"),
    **dict.fromkeys(("resizebox",), "graphicx"),
}
TEXT_COMMANDS = {
    *("begin", "end", "caption", "label", "centering", "raggedright", "par", "hspace", "textbf"),
    *("small", "footnotesize", "scriptsize", "setlength", "tabcolsep", "belowcaptionskip"),
    *("addtocounter", "linewidth", "shortstack", "allowbreak", "dots", "S", "textbullet"),
    *("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar"),
    *NEEDS,
}
MATH_COMMANDS = {
    *("pm", "times", "cdot", "geq", "leq", "approx", "neq", "rightarrow", "leftarrow", "uparrow"),
    *("downarrow", "Rightarrow", "infty", "sum", "in", "partial", "nabla", "surd", "frac", "circ"),
    *("dagger", "ddagger", "alpha", "beta", "gamma", "delta", "varepsilon", "zeta", "eta"),
    *("theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau"),
    *("upsilon", "varphi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi"),
    *("Pi", "Sigma", "Phi", "Psi", "Omega"),
}
ESCAPED = set("&%$#_{}\\|")  # after a backslash; \| in formulas only
BETWEEN_ROWS = r"\\(?:(?:top|mid|bottom)rule|end(?:firsthead|head|foot)|addlinespace(?:\[\w+\])?)"
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|%[^\n]*\n?|.", re.DOTALL)


def problems(text: str) -> list[str]:
    """Return what is wrong with a table, empty if it will compile within a document."""
    printed = re.sub(r"\\label\{[\w:-]+\}", r"\\label{}", text)  # a name is not set in type
    return [*_declared(text), *_tokens(printed), *_columns(text)]


def packages(text: str) -> set[str]:
    """Return the packages that a table's first line names."""
    first = text.partition("\n")[0]
    return {name for name in PACKAGES if re.search(rf"\b{name}\b", first)}


def _declared(text: str) -> Iterator[str]:
    """Find what needs a package that the first line does not name."""
    named = packages(text)
    used = {ENVIRONMENTS.get(name) for name in re.findall(r"\\begin\{(\w+)\}", text)}
    used |= {NEEDS.get(name) for name in re.findall(r"\\([A-Za-z]+)", text)}
    yield from (f"needs the package {name}" for name in sorted(filter(None, used - named)))


def _tokens(text: str) -> Iterator[str]:
    """Find unknown commands and characters, and what is opened and not closed."""
    opened: list[str] = []
    math = False
    place = 0
    for token in TOKEN.findall(text):
        line = text.count("\n", 0, place) + 1
        place += len(token)
        if token.startswith("%"):
            if token != "%\n" and text[: place - len(token)].rpartition("\n")[2]:
                yield f"line {line}: the rest of the line is a comment"
            continue
        if token.startswith("\\"):
            name = token[1:]
            known = MATH_COMMANDS if math else TEXT_COMMANDS
            if name.isalpha() and name not in known:
                yield f"line {line}: \\{name} is not known {'in' if math else 'outside'} a formula"
            if not name.isalpha() and (name not in ESCAPED or (name == "|") != math):
                yield f"line {line}: {token!r} is not known"
            found = re.match(r"\\(begin|end)\{(\w+)\}", text[place - len(token) :])
            if found and found[1] == "begin":
                opened.append(found[2])
                if found[2] not in ENVIRONMENTS:
                    yield f"line {line}: environment {found[2]} is not known"
            elif found and (not opened or opened.pop() != found[2]):
                yield f"line {line}: environment {found[2]} ends and was not open"
        elif token == "{":
            opened.append("{")
        elif token == "}":
            if not opened or opened.pop() != "{":
                yield f"line {line}: a brace closes and was not open"
        elif token == "$":
            math = not math
        elif token in "_^" and not math:
            yield f"line {line}: {token} outside a formula"
        elif token == "#":
            yield f"line {line}: # is no text"
        elif token == "\n" and math:
            yield f"line {line}: a formula goes on after its line"
            math = False
        elif not token.isascii() and not "À" <= token <= "ſ":
            yield f"line {line}: {token!r} (U+{ord(token):04X}) is no character of pdfTeX"
        elif not token.isprintable() and token not in "\n":
            yield f"line {line}: {token!r} is no character of a text"
    if opened or math:
        yield f"not closed at the end: {', '.join(opened) or '$'}"


def _columns(text: str) -> Iterator[str]:
    """Find rows with more or fewer cells than their tabular has columns."""
    tables = re.findall(r"\\begin\{(tabular|longtable)\}(.*?)\\end\{\1\}", text, re.S)
    for _, table in tables:
        spec, body = _argument(table)
        columns = len(re.findall(r"[lrcp]", re.sub(r"\{[^{}]*\}", "", _flat(spec))))
        *rows, last = _split(body, "\\\\")
        for row in rows:
            kept = re.sub(rf"^(\s*{BETWEEN_ROWS})*", "", row).strip()
            cells = _split(kept, "&")
            if not kept.startswith(r"\caption") and len(cells) != columns:
                yield f"{len(cells)} cells in a row of {columns} columns: {kept[:60]}"
            if re.search(BETWEEN_ROWS, kept):
                yield f"a row does not end before a rule: {kept[:60]}"
        if re.sub(BETWEEN_ROWS, "", last).strip():
            yield f"a last row that does not end: {last.strip()[:60]}"


def _argument(text: str) -> tuple[str, str]:
    """Part the braced argument at a text's start from what follows."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return text[1:place], text[place + 1 :]
    return text, ""


def _flat(spec: str) -> str:
    """Return a column specification without what stands in its inner braces."""
    while re.search(r"\{[^{}]*\{[^{}]*\}[^{}]*\}", spec):
        spec = re.sub(r"\{[^{}]*\}(?=[^{}]*\})", "", spec)
    return spec


def _split(text: str, at: str) -> list[str]:
    """Split a text where a token stands outside all braces."""
    parts, depth = [""], 0
    for token in TOKEN.findall(text):
        depth += {"{": 1, "}": -1}.get(token, 0)
        if token == at and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return parts
