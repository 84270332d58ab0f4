"""Whether a drawing is as matplotlib writes it: a page holds it as it stands, so nothing else goes.

It is compared token by token with a list of elements, attributes and values, and not only parsed: a
browser parses a page by other rules than those of XML, and must have nothing to read otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

PROLOG = (
    '<?xml version="1.0" encoding="utf-8" standalone="no"?>\n'
    '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"\n'
    '  "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n'
)
TOKEN = re.compile(
    r"<!--(?P<comment>[^<>]*?)-->"
    r"|</(?P<end>[\w:]+)>"
    r"|<(?P<start>[\w:]+)(?P<attributes>(?:\s+[\w:-]+=\"[^\"<>&]*\")*)\s*/?>"
    r"|(?P<text>(?:[^<>&]|&(?:lt|gt|amp|quot|apos);)+)"
)
ATTRIBUTE = re.compile(r'([\w:-]+)="([^"]*)"')
DRAWN = ("svg", "g", "defs", "path", "use", "text", "tspan", "rect", "clipPath", "style")
DESCRIBED = (  # in the metadata, which the page leaves out
    *("metadata", "rdf:RDF", "rdf:Bag", "rdf:li", "cc:Work", "cc:Agent", "dc:type", "dc:date"),
    *("dc:format", "dc:title", "dc:creator", "dc:subject"),
)
ELEMENTS = {*DRAWN, *DESCRIBED}
SPACES = {
    "xmlns": "http://www.w3.org/2000/svg",
    "xmlns:xlink": "http://www.w3.org/1999/xlink",
    "xmlns:dc": "http://purl.org/dc/elements/1.1/",
    "xmlns:cc": "http://creativecommons.org/ns#",
    "xmlns:rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}
STYLES = (
    *("fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity", "opacity"),
    *("stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "stroke-dasharray"),
    *("stroke-dashoffset", "font", "font-size", "font-family", "font-style", "font-weight"),
    *("font-variant", "font-stretch", "text-anchor"),
)
REFERENCE = r"url\(#[\w-]+\)"
STYLE = rf"(?:{'|'.join(STYLES)}):(?:[\w #.,%'+-]|{REFERENCE})*"
LIST = rf"{STYLE}(?:; ?{STYLE})*;?"
GEOMETRY = r"[\w\s.,()+-]*"  # numbers, letters of paths, and functions such as rotate(90)
VALUES = {
    **{name: re.escape(value) for name, value in SPACES.items()},
    **dict.fromkeys(("d", "x", "y", "width", "height", "transform", "viewBox"), GEOMETRY),
    **{"id": r"[\w.-]+", "version": r"[\d.]+", "type": "text/css", "xml:space": "preserve"},
    **{"style": LIST, "clip-path": REFERENCE, "xlink:href": r"#[\w-]+"},
    **{"rdf:about": "", "rdf:resource": "http://purl.org/dc/dcmitype/StillImage"},
}
KNOWN = {name: re.compile(pattern, re.ASCII) for name, pattern in VALUES.items()}
SHEET = re.compile(rf"\*\{{{LIST}\}}", re.ASCII)


def strange(svg: bytes) -> str:
    """Say what a drawing has that matplotlib does not write; "" if nothing."""
    text = svg.decode("utf-8", errors="replace")
    if "\ufffd" in text:
        return "no UTF-8"
    if not text.startswith(PROLOG):
        return "another beginning"
    place = len(PROLOG)
    while place < len(text):
        found = TOKEN.match(text, place)
        if not found:
            return f"{text[place : place + 40]!r}"
        if wrong := _strange_tag(found.groupdict()):
            return wrong
        place = found.end()
    try:
        elements = ElementTree.fromstring(text).iter()
    except ElementTree.ParseError as error:
        return f"no XML: {error}"
    sheets = [element for element in elements if element.tag.endswith("style")]
    sound = all(not len(sheet) and SHEET.fullmatch(sheet.text or "") for sheet in sheets)
    return "" if sound else "another style sheet"


def _strange_tag(found: Mapping[str, str | None]) -> str:
    """Say what is strange about a tag; "" if nothing, or if the token is text or a comment."""
    name = found["start"] or found["end"]
    if name and name not in ELEMENTS:
        return f"an element {name}"
    for attribute, value in ATTRIBUTE.findall(found["attributes"] or ""):
        if attribute not in KNOWN or not KNOWN[attribute].fullmatch(value):
            return f'{attribute}="{value:.40}"'
    return ""
