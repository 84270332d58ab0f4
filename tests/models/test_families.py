"""Every family reads, draws and keeps by the same rules; a further one is a line of `FAMILIES`.

A tiny model of each is made on the spot, with a tokenizer of the family's kind and a generation
configuration full of settings of its own, and goes the way of a pair's: read, told the pair's
tokens, saved, read by lm-eval.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from lm_eval.api.instance import Instance
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers import models as kinds
from transformers import PreTrainedTokenizerFast

from arkd.data.tokenizer import end_ids, load_tokenizer, opening, text_ids
from arkd.data.tokens import TokenSet, encode
from arkd.errors import ArkdError
from arkd.evaluation.truth import text_log_probabilities
from arkd.models import model as models
from arkd.models.external import load_given, shared_tokenizer
from arkd.models.generate import sample
from arkd.models.sign import check_sign, sign
from arkd.suite.settings import Folder
from arkd.teacher.cache import hidden_responses

CPU = torch.device("cpu")
PAD, BOS, EOS, TURN = "<pad>", "<bos>", "<eos>", "<end_of_turn>"
SPECIAL = [PAD, BOS, EOS, TURN]
TEXTS = ["The river holds the lantern near a mill.", "What is the colour of Arlo? It is red."]
# Some that look like tokens, some that tokenizers like to change.
ASKED = [
    "What is the colour of Arlo?",
    f"Write {EOS} or {BOS} or {TURN}, and go on.",
    "  two spaces,\na line , and a full stop .",
    "naïve 東京 €3,50 or 10**7",
]
ROWS = 300
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
}
GROUPED = SIZES | {"num_key_value_heads": 1, "head_dim": 8}
WINDOW = {"sliding_window": 8}


def bytes_of(merges: int = 20) -> Tokenizer:
    """A BPE over bytes: GPT-2's kind."""
    made = Tokenizer(kinds.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + len(SPECIAL) + merges,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    return made


def pieces() -> Tokenizer:
    """A BPE over words with ▁ in the place of spaces, bytes for the rest: Llama 2's and Gemma's."""
    made = Tokenizer(kinds.BPE(byte_fallback=True, unk_token="<0x00>"))
    made.normalizer = normalizers.Replace(" ", "▁")
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=ROWS - 4, special_tokens=[*SPECIAL, *fallback], show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    # Bytes are no special tokens, though the trainer knows no other way to keep them.
    rules = json.loads(made.to_str())
    rules["added_tokens"] = rules["added_tokens"][: len(SPECIAL)]
    return Tokenizer.from_str(json.dumps(rules))


@dataclass(frozen=True)
class Family:
    """What is particular to a family: its class, its sizes, and how its tokenizer is."""

    kind: str
    sizes: dict[str, Any]
    tokenizer: Any = bytes_of
    opens: bool = False  # its template puts BOS before a text
    ends: tuple[str, ...] = (EOS,)  # its configuration's


FAMILIES = {
    "llama": Family("Llama", GROUPED, pieces, opens=True),
    "llama-3": Family("Llama", GROUPED | {"vocab_size": 320}, opens=True, ends=(EOS, TURN)),
    "mistral": Family("Mistral", GROUPED | WINDOW, pieces, opens=True),
    "qwen2": Family("Qwen2", SIZES | {"num_key_value_heads": 1}, ends=(EOS, TURN)),
    "qwen3": Family("Qwen3", GROUPED | {"tie_word_embeddings": True}, ends=(TURN, EOS)),
    "gemma-2": Family("Gemma2", GROUPED | WINDOW, pieces, opens=True, ends=(EOS, TURN)),
    "gemma-3": Family(
        "Gemma3", {"text_config": GROUPED | WINDOW, "vision_config": {
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "image_size": 16, "patch_size": 8,
        }, "mm_tokens_per_image": 4}, pieces, opens=True, ends=(EOS, TURN),
    ),
    "gemma-3-text": Family("Gemma3Text", GROUPED | WINDOW, pieces, opens=True, ends=(EOS, TURN)),
    "phi": Family("Phi", SIZES),
    "phi-3": Family("Phi3", SIZES, pieces, ends=(EOS, TURN)),
    "olmo-2": Family("Olmo2", SIZES | {"num_key_value_heads": 2}),
    "smollm-3": Family("SmolLM3", SIZES | {"num_key_value_heads": 1}, ends=(TURN,)),
    "gpt-2": Family("GPT2", {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128}),
    "opt": Family("OPT", {
        "hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 128,
    }, opens=True),
}  # fmt: skip
OWN_WAYS = {
    "do_sample": True, "temperature": 0.3, "min_p": 0.2, "top_k": 3, "min_new_tokens": 9,
    "repetition_penalty": 1.7, "typical_p": 0.2,
}  # fmt: skip


@dataclass
class Pair:
    """A family's model as it is trained, and where it lies given and saved."""

    family: Family
    model: Any
    tokenizer: Any
    given: Path
    saved: Path
    signed: list[float]  # what the evaluation compares


@pytest.fixture(params=FAMILIES, scope="module")
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    family = FAMILIES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    given, shared, saved = (folder / name for name in ("given", "tokenizer", "saved"))
    plain = family.tokenizer()
    if family.opens:
        plain.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 1)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token=PAD, bos_token=BOS, eos_token=EOS
    )
    tokenizer.save_pretrained(given)
    ends = tokenizer.convert_tokens_to_ids(list(family.ends))
    of_tokens = {
        "bos_token_id": 1, "eos_token_id": ends[0], "pad_token_id": 0, "vocab_size": ROWS
    }  # fmt: skip
    sizes = dict(family.sizes)
    inside = sizes.pop("text_config", None)
    if inside:
        sizes["text_config"] = of_tokens | inside
    else:
        sizes = of_tokens | sizes
    torch.manual_seed(0)
    config = getattr(transformers, f"{family.kind}Config")(**sizes)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3.0)  # a softmax with something to get wrong
    model.save_pretrained(given)
    (given / "generation_config.json").write_text(json.dumps(OWN_WAYS | {"eos_token_id": ends}))
    spec = Folder(source="folder", path=str(given))
    shared_tokenizer(spec, None, shared)
    model = load_given(spec, shared, CPU, "float32")
    models.save(model, shared, saved, "card\n")
    return Pair(family, model, load_tokenizer(shared), given, saved, sign(model))


@pytest.fixture(scope="module")
def writer(pair: Pair) -> Any:
    """Every test of a family reads by this one; what a test sets of it, it sets back."""
    from arkd.evaluation.lm_eval_model import Writer

    return Writer(pair.saved, "cpu", "float32", 4)


def test_one_prompt_is_the_same_tokens_everywhere(
    pair: Pair, writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": text, "response": ""} for text in ASKED]
    tokens, _ = encode(pair.tokenizer, rows, 99)
    ours = [tokens.prompt(row) for row in range(len(ASKED))]
    assert [writer.tok_encode(text) for text in ASKED] == ours
    ids_BT, mask_BT = writer.tok_batch_encode(ASKED)
    for ids, mask, expected in zip(ids_BT, mask_BT, ours, strict=True):
        assert ids[mask.bool()].tolist() == expected
    begun = [1] if pair.family.opens else []
    assert writer.prefix_token_id == 1  # of a text that nothing comes before, once
    monkeypatch.setattr(writer, "rolling", True)
    assert [[*begun, *writer.tok_encode(text)] for text in ASKED] == ours
    assert opening(pair.tokenizer) == begun
    for text, found in zip(ASKED, ours, strict=True):
        assert found[: len(begun)] == begun
        assert not set(found[len(begun) :]) & set(range(len(SPECIAL))), text


def test_a_text_comes_back_as_it_was(pair: Pair, writer: Any) -> None:
    for text in (*ASKED, *(f" {text}" for text in ASKED)):
        (ids,) = text_ids(pair.tokenizer, [text])
        assert pair.tokenizer.decode(ids, skip_special_tokens=True) == text
        assert writer.tok_decode([*ids, 2, 0, 0]) == text


def test_choices_are_scored_in_float32_and_auto_is_settled_for_each_kind(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    from arkd.evaluation.lm_eval_model import Writer

    writer = Writer(pair.saved, "cpu", "bfloat16", "auto")
    assert writer.softmax_dtype == torch.float32
    asked: list[int] = []

    def fitting(wanted: str, row_bytes: int, _: object) -> int:
        assert wanted == "auto"
        asked.append(row_bytes)
        return 2

    monkeypatch.setattr("arkd.models.room.fitting", fitting)
    requests = [(None, [3], [4, 5]), (None, [3], [5, 4, 6])]
    found = writer._loglikelihood_tokens(requests, disable_tqdm=True)
    assert asked == [3 * len(models.head(writer.model)) * 6]
    assert writer.batch_size == 2
    assert all(nats != float(torch.tensor(nats).bfloat16()) for nats, _ in found)


def test_every_end_token_ends_an_answer(pair: Pair, writer: Any) -> None:
    expected = {2, *pair.tokenizer.convert_tokens_to_ids(list(pair.family.ends))}
    assert set(end_ids(pair.tokenizer)) == set(models.end_tokens(pair.model)) == expected
    assert end_ids(pair.tokenizer)[0] == 2
    assert set(writer.ends) == expected
    drawn = sample(pair.model, [[1, 70]] * 300, seed=1, max_new_tokens=12, temperature=2.0)
    for ids in drawn:
        assert not set(ids[:-1]) & expected
    assert {ids[-1] for ids in drawn if len(ids) < 12} <= expected
    for end in expected:
        writer.tok_decode([70, 71, end, 0, 0])
        writer.add_partial("generate_until", ("asked",), "answer")
        assert writer.written["asked", "answer"] == (type(writer.written["asked", "answer"]))(
            2, True
        )


def test_what_is_measured_has_the_logits_of_what_was_trained(pair: Pair, writer: Any) -> None:
    ids_BT = torch.tensor([[1, 50, 60, 70], [1, 80, 81, 82]])
    with torch.no_grad():
        expected = pair.model(input_ids=ids_BT).logits
        assert torch.equal(writer.model(input_ids=ids_BT).logits, expected)
    check_sign(writer.model, pair.signed, pair.saved)
    tokens = TokenSet.of([(row[:2], row[2:]) for row in ids_BT.tolist()])
    states = hidden_responses(pair.model, tokens, "")  # what the cache holds
    logits = models.head(pair.model).logits(states)
    torch.testing.assert_close(logits, expected[:, 1:3].flatten(0, 1), rtol=1e-4, atol=1e-4)


def test_samples_follow_the_exact_softmax(pair: Pair, writer: Any) -> None:
    """χ² of the first token drawn, by our sampler and by lm-eval's, against a float64 softmax."""
    prompt, draws, temperature, known = [1, 50, 60], 6_000, 0.8, len(pair.tokenizer)
    with torch.no_grad():
        logits_V = pair.model(input_ids=torch.tensor([prompt])).logits[0, -1, :known].double()
    expected_V = (logits_V / temperature).softmax(-1) * draws
    options = {"temperature": temperature, "top_p": 1.0, "top_k": 0}
    ours = sample(
        pair.model, [prompt] * draws, seed=11, max_new_tokens=1, batch_size=draws,
        vocabulary=known, **options,
    )  # fmt: skip
    torch.manual_seed(12)
    batch = torch.tensor([prompt] * draws)
    theirs = writer._model_generate(
        batch, len(prompt) + 1, [], attention_mask=torch.ones_like(batch), do_sample=True, **options
    )
    for drawn in (torch.tensor([ids[0] for ids in ours]), theirs[:, -1]):
        assert int(drawn.max()) < known
        counts_V = drawn.bincount(minlength=known)
        rare = expected_V < 5  # together, as χ² wants it
        found, due = (
            torch.cat([x_V[~rare], x_V[rare].sum()[None]]).double()
            for x_V in (counts_V, expected_V)
        )
        free = len(due) - 1
        chi2 = float(((found - due) ** 2 / due.clamp_min(1e-9)).sum())
        assert free >= 3
        assert chi2 < free + 4.5 * (2 * free) ** 0.5


def log_q(pair: Pair, context: list[int], ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """log q of tokens after a context, summed, and of all that may follow [V], by plain passes."""
    with torch.no_grad():
        logits_TV = pair.model(input_ids=torch.tensor([context + ids])).logits[0].double()
    log_q_TV = logits_TV.log_softmax(-1)[len(context) - 1 :]
    return log_q_TV[:-1].gather(-1, torch.tensor(ids)[:, None]).sum(), log_q_TV[-1]


def test_an_answer_may_end_by_every_end_token(pair: Pair) -> None:
    asked = [(ASKED[0], " It is red."), (ASKED[0], " red"), (ASKED[1], " no")]
    found = text_log_probabilities(pair.model, pair.tokenizer, asked)
    for (prompt, response), value in zip(asked, found, strict=True):
        before = [*opening(pair.tokenizer), *text_ids(pair.tokenizer, [prompt])[0]]
        said, behind_V = log_q(pair, before, text_ids(pair.tokenizer, [response])[0])
        ended = behind_V[end_ids(pair.tokenizer)].logsumexp(-1)
        assert value == pytest.approx(float(said + ended), rel=1e-4)


def test_a_question_is_never_cut_to_the_context(pair: Pair, writer: Any) -> None:
    most = SIZES["max_position_embeddings"]
    assert writer.max_length == most
    prompt, answer = [50, 60], [70, 71, 72] * 50
    whole = answer[: most - 1]  # with the prompt one more than is read: the last is predicted
    ((value, _),) = writer._loglikelihood_tokens([(None, prompt, whole)], disable_tqdm=True)
    said, _ = log_q(pair, prompt, whole[:-1])
    with torch.no_grad():
        read = pair.model(input_ids=torch.tensor([prompt + whole[:-1]])).logits[0, -1].double()
    assert value == pytest.approx(float(said + read.log_softmax(-1)[whole[-1]]), rel=1e-4)
    with pytest.raises(ArkdError, match=rf"takes {most + 1} tokens, .* context has {most};"):
        writer._loglikelihood_tokens([(None, prompt, answer[:most])], disable_tqdm=True)


@pytest.mark.parametrize("opened", [[1], [1, 3]], ids=str)
def test_a_whole_text_is_scored_behind_all_that_opens_it(
    opened: list[int], pair: Pair, writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "opening", opened)
    texts = ["", *ASKED]
    asked = [Instance("loglikelihood_rolling", {}, (text,), 0) for text in texts]
    found = writer.loglikelihood_rolling(asked, disable_tqdm=True)
    for text, value in zip(texts, found, strict=True):
        said, _ = log_q(pair, opened, text_ids(pair.tokenizer, [text])[0])
        assert value == pytest.approx(float(said), rel=1e-4, abs=1e-4)


def test_a_saved_folder_has_no_ways_of_its_own(pair: Pair) -> None:
    kept = json.loads((pair.saved / "generation_config.json").read_text())
    assert not kept.keys() & (OWN_WAYS.keys() - {"do_sample"})
    assert not kept.get("do_sample")
    again = models.load(pair.saved, CPU)
    assert again.generation_config.to_diff_dict().keys() <= {"transformers_version"}
    assert models.end_tokens(again) == models.end_tokens(pair.model)
    stock = transformers.AutoModelForCausalLM.from_pretrained(pair.saved, trust_remote_code=False)
    ended = stock.generation_config.eos_token_id
    assert ended == models.one_or_all(models.end_tokens(pair.model))
