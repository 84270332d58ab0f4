"""Pretrained models: layers cut from a teacher, and the real conversion of SmolLM2 (heavy)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from arkd.data.tokenizer import load_tokenizer, train_tokenizer
from arkd.errors import ArkdError
from arkd.models import model as models
from arkd.models.smollm2 import (
    convert_smollm2,
    convert_tokenizer,
    cut_student,
    keep_layers,
    kept_layers,
)

LAYERS = 7


@pytest.fixture(scope="module")
def teacher_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        eos_token_id=1,
        pad_token_id=0,
    )
    train_tokenizer(["some words to learn from"], 300, folder / "tokenizer")
    models.save(LlamaForCausalLM(config), folder / "tokenizer", folder, "card\n")
    return folder


@pytest.mark.parametrize(
    ("total", "layers", "kept"),
    [(30, 6, [0, 6, 12, 17, 23, 29]), (7, 3, [0, 3, 6]), (4, 4, [0, 1, 2, 3]), (9, 2, [0, 8])],
)
def test_both_ends_are_kept_and_the_rest_evenly_spaced(
    total: int, layers: int, kept: list[int]
) -> None:
    assert kept_layers(total, layers) == kept


def test_a_cut_student_has_the_teachers_weights(teacher_dir: Path, tmp_path: Path) -> None:
    assert cut_student(teacher_dir, tmp_path / "student", 3) == [0, 3, 6]
    teacher = AutoModelForCausalLM.from_pretrained(teacher_dir, dtype=torch.float32)
    student = AutoModelForCausalLM.from_pretrained(tmp_path / "student", dtype=torch.float32)
    assert student.config.num_hidden_layers == 3
    for place, index in enumerate([0, 3, 6]):
        theirs = teacher.model.layers[index].state_dict()
        for name, weight in student.model.layers[place].state_dict().items():
            assert torch.equal(weight, theirs[name]), name
    for part in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"):
        assert torch.equal(student.state_dict()[part], teacher.state_dict()[part])
    for name in ("tokenizer.json", "tokenizer_config.json", "README.md", "generation_config.json"):
        assert (tmp_path / "student" / name).is_file()


def test_a_cut_student_is_its_layers_run_one_after_another(
    teacher_dir: Path, tmp_path: Path
) -> None:
    cut_student(teacher_dir, tmp_path / "student", 2)
    teacher = models.load(teacher_dir, torch.device("cpu")).eval()
    student = models.load(tmp_path / "student", torch.device("cpu")).eval()
    ids_BT = torch.arange(12).reshape(2, 6)
    # The oracle runs the kept layers of the teacher by hand.
    states = teacher.model.embed_tokens(ids_BT)
    angles = teacher.model.rotary_emb(states, torch.arange(6)[None])
    mask = torch.full((6, 6), -torch.inf).triu(1)[None, None]
    for index in (0, LAYERS - 1):
        out = teacher.model.layers[index](states, attention_mask=mask, position_embeddings=angles)
        states = out[0] if isinstance(out, tuple) else out
    expected = teacher.lm_head(teacher.model.norm(states))
    torch.testing.assert_close(student(ids_BT).logits, expected, rtol=1e-5, atol=1e-6)


def test_the_key_value_cache_follows_the_cut(teacher_dir: Path) -> None:
    model = models.load(teacher_dir, torch.device("cpu")).eval()
    keep_layers(model, [0, 6])
    ids_BT = torch.tensor([[5, 6, 7, 8]])
    whole = model(ids_BT).logits[0, -1]
    past = model(ids_BT[:, :3], use_cache=True).past_key_values
    assert len(past.layers) == 2
    step = model(ids_BT[:, 3:], past_key_values=past).logits[0, -1]
    torch.testing.assert_close(step, whole, rtol=1e-5, atol=1e-6)


def test_another_family_is_cut_alike() -> None:
    model = GPT2LMHeadModel(GPT2Config(n_layer=4, n_embd=8, n_head=2, vocab_size=50)).eval()
    blocks = list(model.transformer.h)
    keep_layers(model, [0, 2, 3])
    assert list(model.transformer.h) == [blocks[0], blocks[2], blocks[3]]
    assert model.config.n_layer == 3
    assert model(torch.tensor([[1, 2]])).logits.shape == (1, 2, 50)


def test_what_a_configuration_lists_by_layer_is_cut_as_well(tmp_path: Path) -> None:
    config = Qwen3Config(
        vocab_size=50,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
        layer_types=["full_attention", *["sliding_attention"] * 2, "full_attention"],
    )
    model = Qwen3ForCausalLM(config)
    keep_layers(model, [0, 1, 3])
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    kinds = ["full_attention", "sliding_attention", "full_attention"]
    assert again.config.layer_types == kinds
    assert len(again.model.layers) == 3


@pytest.mark.parametrize("layers", [1, LAYERS + 1])
def test_an_impossible_number_of_layers_is_refused(
    teacher_dir: Path, tmp_path: Path, layers: int
) -> None:
    with pytest.raises(ArkdError, match=f"{layers} is not between 2 and the teacher's {LAYERS}"):
        cut_student(teacher_dir, tmp_path / "student", layers)
    assert not (tmp_path / "student").exists()


@pytest.mark.heavy
def test_smollm2_is_converted_and_speaks(tmp_path: Path) -> None:
    convert_tokenizer(tmp_path / "tokenizer")
    convert_smollm2(tmp_path / "tokenizer", tmp_path / "teacher")
    model = models.load(tmp_path / "teacher", torch.device("cpu")).eval()
    tokenizer = load_tokenizer(tmp_path / "teacher")
    assert models.parameters(model) == 134_515_008
    assert (model.config.vocab_size, model.config.hidden_size) == (49_152, 576)
    assert model.config.pad_token_id == model.config.eos_token_id == tokenizer.eos_token_id == 2
    assert tokenizer.pad_token_id == 2
    assert tokenizer.chat_template
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    output = model.generate(**prompt, max_new_tokens=2, do_sample=False)
    assert tokenizer.decode(output[0]).startswith("The capital of France is Paris")
    assert cut_student(tmp_path / "teacher", tmp_path / "student", 6)[-1] == 29
