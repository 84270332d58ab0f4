"""BERTScore from the pinned wheel: against cosines computed by hand, and at its edges."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from arkd.errors import ArkdError
from arkd.metrics import bertscore
from arkd.storage.wheels import WHEELS, default_cache

TEXTS = ["The fox sleeps in its den.", "Stones do not float."]
REFERENCES = [["A fox is asleep in the den.", "It rains."], ["Stones sink."]]


@pytest.fixture
def minilm() -> None:
    if not (default_cache() / WHEELS[bertscore.MINILM].file).is_file():
        try:
            bertscore.scorer("minilm")
        except ArkdError as error:
            pytest.skip(str(error))  # says how to bring the wheel by hand


def by_hand(text: str, reference: str) -> float:
    """F1 of greedy cosine matches of the fifth layer's states.

    The two special tokens may be matched, as in bert-score, and count for nothing themselves.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = bertscore.minilm_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float64).eval()

    def states(sentence: str) -> torch.Tensor:
        with torch.no_grad():
            out = model(**tokenizer(sentence, return_tensors="pt"), output_hidden_states=True)
        return torch.nn.functional.normalize(out.hidden_states[5][0], dim=-1)

    cosines = states(text) @ states(reference).T
    precision = float(cosines.max(1).values[1:-1].mean())
    recall = float(cosines.max(0).values[1:-1].mean())
    return 2 * precision * recall / (precision + recall)


@pytest.mark.heavy
@pytest.mark.usefixtures("minilm")
def test_a_score_is_the_best_f1_over_the_references() -> None:
    expected = [max(by_hand(t, r) for r in of) for t, of in zip(TEXTS, REFERENCES, strict=True)]
    assert bertscore.scores("minilm", TEXTS, REFERENCES) == pytest.approx(expected, abs=1e-5)


@pytest.mark.heavy
@pytest.mark.usefixtures("minilm")
def test_an_empty_text_scores_0_and_an_equal_one_1() -> None:
    found = bertscore.scores("minilm", ["", "It rains.", "It rains."], [["x"], ["It rains."], [""]])
    assert found == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)


@pytest.mark.heavy
@pytest.mark.usefixtures("minilm")
def test_random_pairs_score_far_above_0_and_below_the_right_answer() -> None:
    references = [[text] for text in ("Ann lives in Tarn.", "Bo lives in Orn.", "Cy lives in Ul.")]
    chance = bertscore.random_pairs("minilm", references)
    own = bertscore.scores("minilm", [of[0] for of in references], references)
    assert 0.3 < chance < min(own)


def test_the_hubs_encoder_is_asked_for_by_name_where_it_is_not_there(tmp_path: Path) -> None:
    code = (
        "from arkd.metrics import bertscore\nfrom arkd.errors import ArkdError\n"
        "try:\n    bertscore.scorer('deberta-xlarge-mnli')\n"
        "except ArkdError as error:\n    print(error)\n"
    )
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "HF_HUB_OFFLINE=0" in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.heavy
@pytest.mark.usefixtures("minilm")
def test_mauve_is_1_for_one_distribution_and_near_0_for_two_far_apart() -> None:
    from arkd.metrics.mauve import ENOUGH, mauve

    rng = random.Random(1)
    places, foods = [f"city {i}" for i in range(40)], [f"soup of {i} leeks" for i in range(40)]
    first, second = (
        [f"We went to {rng.choice(places)} by train." for _ in range(ENOUGH)] for _ in range(2)
    )
    other = [f"My aunt cooks {rng.choice(foods)}!" for _ in range(ENOUGH)]
    alike, apart = mauve(first, second), mauve(first, other)
    assert alike is not None
    assert apart is not None
    assert alike > 0.95
    assert apart < 0.05
    assert mauve(first[:-1], second) is None  # too few
