"""Texts and pages from the templates that packages ship, and what a page may load."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


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


def policy(*scripts: str) -> str:
    """Return the content policy of a page that loads nothing and runs these scripts alone."""
    digests = [hashlib.sha256(text.encode()).digest() for text in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
