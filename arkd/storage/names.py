"""What suites, pairs and rows may be called: each names a folder of the results.

Patterns are of a whole name, as text for settings and compiled for everything else.
"""

from __future__ import annotations

import re

_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
NAME = f"^{_NAME}$"
SUITE_NAME = f"^{_NAME}(@[0-9]+)?$"  # of a suite, and of one block of it: `longtail-blocks@3001`
FOLDER = re.compile(_NAME)
SUITE = re.compile(f"{_NAME}(@[0-9]+)?")
LABEL = re.compile(r"(?!\.)[^/\x00-\x1f\x7f]{1,200}")  # of a row
