"""References against the metric that is to read them, before anything is trained."""

from __future__ import annotations

import sys
from pathlib import Path

from arkd.errors import ArkdError
from arkd.rouge import readable
from arkd.storage.files import read_jsonl
from arkd.suite.suite import Suite

MOST = 0.1  # the share of a test set that may go unread


def check_references(suite: Suite, data: Path) -> dict[str, int]:
    """Return how many items of each test set have no word that the suite's ROUGE-L reads.

    Whatever is answered to such an item scores 0. A few are told of, more are refused.

    Raises:
        ArkdError: a test set has more than a tenth of them.
    """
    found, metric = {}, suite.rouge
    for name in suite.test_sets:
        path = data / f"test_{name}.jsonl"
        rows = [row["references"] for row in read_jsonl(path) if row["references"]]
        unread = [row for row in rows if not any(readable(text, metric) for text in row)]
        if not unread:
            continue
        found[name] = len(unread)
        said = (
            f"{path}: of {len(unread):,} of {len(rows):,} items no reference has a word that "
            f"{metric} reads, the first {unread[0][0][:40]!r}"
        )
        remedy = "set rouge to rouge_l_unicode in the suite, or leave them out"
        if metric != "rouge_l":
            remedy = "leave them out, or give them references in words"
        if len(unread) > MOST * len(rows):
            raise ArkdError(f"{said}; whatever is answered scores 0: {remedy}")
        print(f"arkd: warning: {said}; they score 0: {remedy}", file=sys.stderr)
    return found
