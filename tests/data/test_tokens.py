"""Token sets, batches and their order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from arkd.data.tokenizer import load_tokenizer, train_tokenizer
from arkd.data.tokens import TokenSet, batch_order, encode

SAMPLES = [([5, 6], [7, 1]), ([8], [9, 10, 1]), ([5, 6, 7], [1])]


@pytest.fixture
def tokens() -> TokenSet:
    return TokenSet.of(SAMPLES)


def test_a_batch_marks_the_positions_that_predict_response_tokens(tokens: TokenSet) -> None:
    batch = tokens.batch([2, 0], pad_id=0)
    assert batch.ids_BT.tolist() == [[5, 6, 7, 1], [5, 6, 7, 1]]
    # Sample 2 predicts its EOS from position 2; sample 0 predicts 7 and EOS from 1 and 2.
    assert batch.positions_N.tolist() == [2, 5, 6]
    assert batch.labels_N.tolist() == [1, 7, 1]
    # Response tokens in cache order: sample 0 has rows 0–1, sample 1 rows 2–4, sample 2 row 5.
    assert batch.hidden_rows_N.tolist() == [5, 0, 1]
    assert batch.lm_labels_M.tolist() == [6, 7, 1, 6, 7, 1]
    assert batch.tokens == 8


def test_padding_stands_on_the_right_and_counts_nowhere(tokens: TokenSet) -> None:
    batch = tokens.batch([0, 1], pad_id=0)
    wide = tokens.batch([1], pad_id=0)
    assert batch.ids_BT.tolist() == [[5, 6, 7, 1], [8, 9, 10, 1]]
    assert wide.labels_N.tolist() == batch.labels_N.tolist()[2:]
    flat = batch.ids_BT.flatten()
    assert flat[batch.positions_N + 1].tolist() == batch.labels_N.tolist()


def test_packed_samples_share_rows_and_keep_their_places() -> None:
    samples = [([2], [3] * 7), ([4], [5]), ([6], [7, 7]), ([8], [9] * 4)]  # 8, 2, 3 and 5 long
    batch = TokenSet.of(samples).batch(range(4), pad_id=0)
    packed = batch.packed
    assert packed is not None
    assert packed.ids_RT.tolist() == [
        [2, 3, 3, 3, 3, 3, 3, 3],
        [8, 9, 9, 9, 9, 6, 7, 7],
        [4, 5, 0, 0, 0, 0, 0, 0],
    ]
    assert packed.places_RT.tolist() == [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0, 1, 2, 3, 4, 0, 1, 2],
        [0, 1, 0, 0, 0, 0, 0, 0],
    ]
    again_P = packed.ids_RT.flatten()[packed.from_P]
    for positions in (batch.positions_N, batch.lm_positions_M, batch.positions_N + 1):
        assert torch.equal(again_P[positions], batch.ids_BT.flatten()[positions])


def test_samples_of_like_length_stay_as_they_are(tokens: TokenSet) -> None:
    assert tokens.batch([0, 1, 2], pad_id=0).packed is None
    assert tokens.batch([0], pad_id=0).packed is None


def test_packing_first_asked_for_in_inference_serves_training_too(tokens: TokenSet) -> None:
    with torch.inference_mode():
        batch = TokenSet.of([([2], [3] * 7), ([4], [5])] * 2).batch(range(4), pad_id=0)
        packed = batch.packed
    assert packed is not None
    assert not any(tensor.is_inference() for tensor in vars(packed).values())


def test_a_saved_set_is_the_same(tokens: TokenSet, tmp_path: Path) -> None:
    tokens.save(tmp_path / "t.safetensors")
    again = TokenSet.load(tmp_path / "t.safetensors")
    assert all(torch.equal(getattr(tokens, k), v) for k, v in vars(again).items())
    assert again.prompt(1) == [8]
    assert again.response_starts.tolist() == [0, 2, 5, 6]


def test_the_order_is_shuffled_epochs_that_depend_on_the_axes_alone() -> None:
    first = list(batch_order(10, 6, 4, "distill", 1))
    assert first == list(batch_order(10, 6, 4, "distill", 1))
    assert first != list(batch_order(10, 6, 4, "distill", 2))
    assert first != list(batch_order(10, 6, 4, "start", 1))
    flat = [sample for batch in first for sample in batch]
    assert sorted(flat[:10]) == sorted(flat[10:20]) == list(range(10))
    assert flat[:10] != flat[10:20]


def test_encoding_ends_with_eos_and_drops_what_is_too_long(tmp_path: Path) -> None:
    train_tokenizer(["who is it? it is Ann."] * 3, 300, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    rows = [
        {"prompt": "who is it?", "response": " it is Ann."},
        {"prompt": "who?" * 50, "response": " it"},
    ]
    tokens, dropped = encode(tokenizer, rows, max_tokens=30)
    assert (len(tokens), dropped) == (1, 1)
    assert int(tokens.ids[-1]) == tokenizer.eos_token_id
    assert tokenizer.decode(tokens.ids[:-1]) == "who is it? it is Ann."
    assert tokenizer.decode(tokens.prompt(0)) == "who is it?"


def test_encoding_is_that_of_the_tokenizer_whatever_was_asked_of_it_before(tmp_path: Path) -> None:
    train_tokenizer(["who is it? it is Ann."] * 3, 300, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    rows = [{"prompt": "who is", "response": " Ann <eos> ü."}, {"prompt": "it", "response": ""}]
    tokenizer(["a", "b and b"], padding=True, truncation=True, max_length=2)  # leaves its mark
    tokens, _ = encode(tokenizer, rows, max_tokens=99)
    for sample, row in enumerate(rows):
        assert tokens.prompt(sample) == tokenizer(row["prompt"])["input_ids"]
        spelt_out = tokenizer(row["response"], split_special_tokens=True)["input_ids"]
        assert tokens.response(sample)[:-1] == spelt_out


def test_batches_of_like_length_hold_every_sample_once_and_pad_less() -> None:
    lengths = torch.tensor([5, 50] * 64)
    batches = list(batch_order(128, 16, 8, "teacher", lengths=lengths))
    assert sorted(sample for batch in batches for sample in batch) == list(range(128))
    assert all(len({int(lengths[s]) for s in batch}) == 1 for batch in batches)
    widths = [int(lengths[batch[0]]) for batch in batches]
    assert widths != sorted(widths)  # long and short batches are mixed in time
