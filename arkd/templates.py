"""Texts and pages from the templates that packages ship; links, ids, and what a page may load."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


def environment(*packages: str, html: bool = False) -> Environment:
    """Return the templates of packages; a value that a template names and does not get is an error.

    Args:
        packages: The first that has a template gives it.
        html: Markup in values is escaped, as it is not in Markdown, Python or YAML.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
    )


def rendered(package: str, template: str, /, **values: Any) -> str:
    """Return a text, which is no markup, from a package's template."""
    return environment(package).get_template(template).render(**values)


def label(text: str) -> Markup:
    """Return a row's label that may break before its parameters."""
    return Markup(re.sub(r"([@,])", r"<wbr>\1", str(escape(text))))


def slug(text: str) -> str:
    """Return a text as an id of a page."""
    return re.sub(r"[^a-z0-9α]+", "-", text.lower()).strip("-")


def relative(path: Path, page: Path) -> str:
    """Return a path as a link from a page."""
    return quote(Path(os.path.relpath(path, page.parent)).as_posix())


def policy(*scripts: str) -> str:
    """Return the content policy of a page that loads nothing and runs these scripts alone."""
    digests = [hashlib.sha256(text.encode()).digest() for text in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
