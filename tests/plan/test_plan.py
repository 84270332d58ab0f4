"""The plan: it counts as the models do, its peaks are measured, its output reads as it should."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import ROOT
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoConfig, AutoModelForCausalLM

from arkd.cli.main import main
from arkd.divergence import chunked as sweeps
from arkd.errors import ArkdError
from arkd.models import room
from arkd.models.lora import add_adapters
from arkd.paths import benchmarks_dir
from arkd.plan import records, text
from arkd.plan.gpus import GPUS, chosen
from arkd.plan.jobs import Assumed, Job, jobs
from arkd.plan.records import Plan
from arkd.plan.resolve import TABLE
from arkd.plan.work import Room, drawing, training
from arkd.sizes import fitting, memory
from arkd.sizes.memory import Held, Memory, Objective
from arkd.sizes.objective import objective
from arkd.sizes.shapes import Shape
from arkd.storage.files import read_json
from arkd.suite import folders
from arkd.suite.job_list import SHOWN, job_list
from arkd.suite.load import suite_names
from arkd.suite.protocol import Distillation, MethodEntry
from arkd.suite.rows import build
from arkd.suite.settings import Lora, Training
from arkd.teacher import cache

Config = dict[str, Any]
SHIPPED: dict[str, Config] = {
    entry["repos"][0]: entry["config"]
    for entry in yaml.safe_load((benchmarks_dir() / TABLE).read_text(encoding="utf-8"))
}
ODD: dict[str, Config] = {
    "untied gpt2": {"model_type": "gpt2", "n_embd": 24, "n_layer": 3, "n_head": 2}
    | {"vocab_size": 97, "n_positions": 31, "n_inner": 50, "tie_word_embeddings": False},
    "llama with biases": {"model_type": "llama", "hidden_size": 24, "intermediate_size": 50}
    | {"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
    | {"vocab_size": 97, "attention_bias": True, "mlp_bias": True, "head_dim": 8},
    "qwen2, grouped": {"model_type": "qwen2", "hidden_size": 24, "intermediate_size": 50}
    | {"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 1}
    | {"vocab_size": 97, "tie_word_embeddings": True},
    "qwen3, heads wider than the states": {"model_type": "qwen3", "hidden_size": 24}
    | {"intermediate_size": 50, "num_hidden_layers": 3, "num_attention_heads": 4}
    | {"num_key_value_heads": 2, "vocab_size": 97, "head_dim": 16},
    "qwen3, of its own head size, with biases": {"model_type": "qwen3", "hidden_size": 24}
    | {"intermediate_size": 50, "num_hidden_layers": 2, "num_attention_heads": 2}
    | {"num_key_value_heads": 1, "vocab_size": 97, "attention_bias": True},
}


def real(config: Config, device: str = "meta") -> Any:
    sizes = dict(config)
    with torch.device(device):
        made = AutoConfig.for_model(sizes.pop("model_type"), **sizes)
        return AutoModelForCausalLM.from_config(made)


def of_suite(name: str, results: Path = Path("/nowhere"), **assumed: Any) -> Plan:
    return records.plan(folders.tree(name, results), [], Assumed(**assumed))


# Parameters


@pytest.mark.parametrize(("name", "config"), [*SHIPPED.items(), *ODD.items()])
def test_parameters_are_those_of_the_real_model(name: str, config: Config) -> None:
    assert Shape.of_config(config, name).parameters == sum(
        p.numel() for p in real(config).parameters()
    )


def test_gpt2_has_the_parameters_that_everyone_knows() -> None:
    assert Shape.of_config(SHIPPED["gpt2"], "").parameters == 124_439_808
    assert Shape.of_config(SHIPPED["gpt2-xl"], "").parameters == 1_557_611_200


QWEN3_8B: Config = {"model_type": "qwen3", "hidden_size": 4096, "intermediate_size": 12288}
QWEN3_8B |= {"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8}
QWEN3_8B |= {"vocab_size": 151936}


def test_qwen3_8b_has_the_parameters_that_its_card_has() -> None:
    assert Shape.of_config(QWEN3_8B, "").parameters == 8_190_735_360


@pytest.mark.parametrize("targets", [(), ("c_attn", "c_proj"), ("q_proj", "down_proj")])
@pytest.mark.parametrize("name", ODD)
def test_adapters_are_those_of_the_real_model(name: str, targets: tuple[str, ...]) -> None:
    shape, lora = Shape.of_config(ODD[name], name), Lora(rank=3, targets=targets)
    model = real(ODD[name], "cpu")
    if targets and not {layer.name for layer in shape.linears} & set(targets):
        assert shape.adapters(lora) == 0
        return
    add_adapters(model, lora, "test")
    assert shape.adapters(lora) == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(ArkdError, match="the teacher: a model of the family 'mamba' cannot"):
        Shape.of_config({"model_type": "mamba"}, "the teacher")


# Memory


def test_constants_are_those_of_the_code() -> None:
    assert (memory.CHUNK_BYTES, memory.BLOCK_BYTES) == (sweeps.CHUNK_BYTES, sweeps.BLOCK_BYTES)
    assert memory.ACCELERATOR_CHUNK_BYTES == sweeps.ACCELERATOR_CHUNK_BYTES
    assert memory.SAMPLING == room.SAMPLING
    assert memory.BATCH_TOKENS == cache.BATCH_TOKENS


@pytest.mark.parametrize("name", [name for name in ODD if "wider" not in name])
def test_rows_that_fit_are_counted_as_the_plan_counts_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, model = Shape.of_config(ODD[name], name), real(ODD[name])
    each = memory.decoding(shape, 1, 20, Training())
    assert room.decoded_row(model, 20) == each
    assert room.scored_row(model, 20) == 20 * shape.vocabulary * 8
    monkeypatch.setattr(room, "free", lambda _: 100 * each)
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert room.fitting("auto", each, cuda) == 64  # a power of two in four fifths of it
    assert room.fitting("auto", 200 * each, cuda) == 1
    assert room.fitting("auto", 1, cuda) == fitting.MOST
    assert (room.fitting("auto", each, cpu), room.fitting(7, each, cuda)) == (fitting.ON_CPU, 7)


WIDE: dict[str, Config] = {
    "gpt2": {"model_type": "gpt2", "n_embd": 128, "n_head": 4, "vocab_size": 64}
    | {"attn_pdrop": 0.0},
    "llama": {"model_type": "llama", "hidden_size": 128, "intermediate_size": 352}
    | {"num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 64},
    "qwen2": {"model_type": "qwen2", "hidden_size": 128, "intermediate_size": 352}
    | {"num_attention_heads": 4, "num_key_value_heads": 1, "vocab_size": 64},
    "qwen3": {"model_type": "qwen3", "hidden_size": 128, "intermediate_size": 352}
    | {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 64, "head_dim": 48},
}


def kept_bytes(config: Config, layers: int, training: Training, lora: bool) -> int:
    """The bytes that a forward pass over [8, 60] tokens keeps, weights and their casts left out."""
    key = "n_layer" if config["model_type"] == "gpt2" else "num_hidden_layers"
    model = real({**config, key: layers}, "cpu")
    if lora:
        model.to(getattr(torch, training.precision))
        add_adapters(model, Lora(rank=1), "test")
    model.train()
    given = {tuple(p.shape) for p in model.parameters()}
    given |= {shape[::-1] for shape in given}
    kept: dict[int, int] = {}

    def note(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if tuple(x.shape) not in given and x.numel() >= 8 * 60 * 32:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    half = training.precision == "bfloat16"
    with (
        saved_tensors_hooks(note, lambda x: x),
        torch.autocast("cpu", torch.bfloat16, enabled=half),
    ):
        model.base_model(input_ids=torch.zeros(8, 60, dtype=torch.int64), use_cache=False)
    return sum(kept.values())


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "adapters"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", WIDE)
def test_a_block_keeps_what_autograd_saves(family: str, precision: Any, lora: bool) -> None:
    config, training = WIDE[family], Training(precision=precision)
    layers = {"n_layer": 1} if family == "gpt2" else {"num_hidden_layers": 1}
    shape = Shape.of_config({**config, **layers}, family)
    measured = kept_bytes(config, 3, training, lora) - kept_bytes(config, 1, training, lora)
    assert shape.kept(training, lora, gpu=False) * 2 * 8 * 60 == pytest.approx(measured, rel=0.03)


def test_a_whole_model_takes_sixteen_bytes_a_parameter_whatever_the_precision() -> None:
    shape = Shape.of_config(SHIPPED["gpt2"], "")
    for precision in ("float32", "bfloat16"):
        held = Held(shape, Training(precision=precision, micro_batch=1), gpu=True)
        found = memory.training(held, 16, 512, Objective())
        assert found.weights + found.optimiser == 16 * shape.parameters


def test_adapters_leave_the_base_in_its_precision_without_gradients() -> None:
    shape, lora = Shape.of_config(SHIPPED["gpt2"], ""), Lora(rank=8)
    held = Held(shape, Training(precision="bfloat16"), gpu=True, lora=lora)
    found = memory.training(held, 16, 512, Objective())
    adapters = shape.adapters(lora)
    assert found.weights == 2 * shape.parameters + 4 * adapters
    assert found.optimiser <= 12 * adapters


SMALL = {"model_type": "llama", "vocab_size": 10, "hidden_size": 4, "intermediate_size": 8}
SMALL |= {"num_hidden_layers": 4, "num_attention_heads": 1, "tie_word_embeddings": True}
FULL = {"devices": 2, "sharding": "full"}


def test_a_model_is_its_blocks_and_its_root() -> None:
    """By hand: 4 projections of 4 × 4, 3 of 4 × 8, 2 norms of 4; embeddings of 10 × 4, a norm."""
    shape = Shape.of_config(SMALL, "")
    assert (shape.block, shape.root) == (64 + 96 + 8, 40 + 4)
    assert shape.parameters == 4 * 168 + 44 == 716
    for config in SHIPPED.values():
        shape = Shape.of_config(config, "")
        assert shape.layers * shape.block + shape.root == shape.parameters


def test_two_processes_hold_half_of_a_model_and_what_runs_whole() -> None:
    shape, rows, length = Shape.of_config(SMALL, ""), 1, 8
    held = Held(shape, Training(**FULL), gpu=True, processes=2)
    assert held.whole == 4 * 716
    assert held.weights == 4 * 716 // 2 + 4 * (44 + 2 * 168)  # root, a block, the next
    assert held.unsummed == (4 * 2 * 168, 4 * 44)
    found = memory.training(held, rows, length, Objective())
    assert found.weights == 1432 + 1520
    assert found.optimiser == 3 * 1432  # moments and gradients
    assert found.host == 3 * 1432
    several = Held(shape, Training(devices=2), gpu=True, processes=2)
    assert several.weights == 4 * 716
    assert memory.training(several, rows, length, Objective()).host == 3 * 4 * 716


def test_adapters_are_shared_out_with_the_base() -> None:
    shape, lora = Shape.of_config(SMALL, ""), Lora(rank=2)
    training = Training(**FULL, precision="bfloat16")
    held = Held(shape, training, gpu=True, lora=lora, processes=2)
    of_block = 2 * (4 * 8 + 3 * 12)  # rank × (inputs + outputs)
    whole = 2 * 716 + 4 * 4 * of_block
    assert held.trained == 4 * of_block
    assert held.weights == whole // 2 + 2 * (44 + 2 * 168) + 4 * 2 * of_block
    assert held.unsummed == (4 * 2 * of_block, 0)  # embeddings and head are frozen


def test_a_model_that_samples_is_whole_meanwhile() -> None:
    shape = Shape.of_config({**SMALL, "num_hidden_layers": 40}, "")
    teacher = Shape.of_config({**SMALL, "num_hidden_layers": 40, "hidden_size": 8}, "")
    held = Held(shape, Training(**FULL, checkpoint_layers=True), gpu=True, processes=2)

    def takes(**keys: Any) -> int:
        return memory.training(held, 1, 1, Objective(sampled=1, **keys)).weights

    whole = 4 * (40 * 168 + 44)
    assert takes() == whole // 2 + whole
    live = 4 * teacher.parameters
    assert takes(live=teacher) == takes() + live // 2
    assert takes(live=teacher, mixed=True) == takes() + live // 2 + live


def test_a_model_of_eight_billions_fits_gpus_of_80_gb_when_it_is_shared_out() -> None:
    shape = Shape.of_config(QWEN3_8B, "")

    def takes(sharding: Any, processes: int) -> Memory:
        training = Training(devices=processes, sharding=sharding, checkpoint_layers=True)
        held = Held(shape, training, gpu=True, processes=processes)
        return memory.training(held, 1, 1024, Objective(teacher=shape))

    whole, eighth = takes("none", 8), takes("full", 8)
    assert whole.peak > 16 * shape.parameters > 120 * 2**30
    assert eighth.weights == shape.parameters // 2 + 4 * (shape.root + 2 * shape.block)
    # Most are there at the end: moments, gradients, and embeddings' and head's whole, twice.
    assert eighth.optimiser == 12 * shape.parameters // 8 + 2 * 4 * shape.root
    assert eighth.peak < 40 * 2**30
    assert takes("full", 4).peak < 60 * 2**30


def peak(rows: int = 16, length: int = 256, **settings: Any) -> int:
    held = Held(Shape.of_config(SHIPPED["gpt2"], ""), Training(**settings), gpu=True)
    return memory.training(held, rows, length, Objective()).peak


def test_micro_batches_and_checkpoints_save_memory() -> None:
    assert peak(64, micro_batch=8) < peak(64, micro_batch=32) < peak(64)
    assert peak(checkpoint_layers=True) < peak()
    assert peak(length=512) > peak()


def test_the_largest_micro_batch_that_fits_is_a_half_or_a_quarter_and_so_on() -> None:
    shape, auto = Shape.of_config(SHIPPED["gpt2"], ""), Training(micro_batch="auto")
    held, of = Held(shape, auto, gpu=True), Objective()

    def takes(micro: int) -> int:
        training = Training(micro_batch=micro)
        return memory.training(Held(shape, training, gpu=True), 60, 512, of).peak

    def found(room: int) -> int:
        return memory.largest_micro_batch(held, 60, 512, of, room)

    assert found(takes(60)) == 60
    assert found(takes(60) - 1) == 30
    assert found(takes(15)) in (15, 8)
    assert memory.training(held, 60, 512, of).peak == takes(1)
    with pytest.raises(ArkdError, match=r"one row takes .* GiB by the plan, and there are 1\.0"):
        found(2**30)


def test_the_loss_does_not_grow_with_the_batch_by_a_vocabulary() -> None:
    shape = Shape.of_config(SHIPPED["gpt2"], "")
    more = peak(rows=32, micro_batch=1) - peak(rows=16, micro_batch=1)
    assert more < 16 * 256 * 4 * shape.vocabulary / 10


def test_methods_hold_what_they_ask_for() -> None:
    small, large = (Shape.of_config(SHIPPED[name], name) for name in ("gpt2", "gpt2-xl"))
    settings = Distillation(steps=1, batch_size=4, lr=1e-3, lm_weight=0.1)

    def asks(name: str) -> Objective:
        return objective(build(MethodEntry(name=name)), settings, small, large, 32)

    assert asks("sft") == Objective(teacher=None, lm=False)
    assert (asks("fixed_mix").gradients, asks("fixed_mix").late) == (1, False)
    assert (asks("arkd").gradients, asks("arkd").late) == (2, False)
    assert (asks("bdkd").gradients, asks("bdkd").late) == (1, True)
    assert asks("contrastive").passes == 3  # its two sets, and gold for L_pt
    assert (asks("gkd").live, asks("gkd").mixed) == (large, False)
    assert (asks("minillm").mixed, asks("minillm").drawing_share) == (True, 0.25)


# Measured peaks: whole jobs on stand-ins of 30 M parameters


def gpt2(width: int, layers: int, heads: int) -> Config:
    return {
        "model_type": "gpt2", "n_embd": width, "n_layer": layers, "n_head": heads,
        "vocab_size": 50_257, "n_positions": 256, "attn_pdrop": 0.0,
    }  # fmt: skip


def gated(family: str, width: int, layers: int, heads: int, keys: int, tied: bool = True) -> Config:
    return {
        "model_type": family, "hidden_size": width, "intermediate_size": 8 * width // 3,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": keys,
        "vocab_size": 50_257, "tie_word_embeddings": tied,
    }  # fmt: skip


GPT2 = {"student": gpt2(384, 6, 6), "teacher": gpt2(512, 2, 8)}
LLAMA = {"student": gated("llama", 384, 6, 6, 6), "teacher": gated("llama", 512, 2, 8, 8)}
QWEN2 = {"student": gated("qwen2", 384, 6, 6, 2), "teacher": gated("qwen2", 512, 2, 8, 2)}
UNTIED = QWEN2 | {"student": gated("qwen2", 256, 6, 8, 2, tied=False)}
MICRO, CKPT = {"micro_batch": 2}, {"checkpoint_layers": True}
HALF = {"precision": "bfloat16"}
STAND_INS: dict[str, dict[str, Any]] = {
    "gpt2, short": {**GPT2, "rows": 4, "length": 64},
    "gpt2": {**GPT2},
    "gpt2, micro-batches": {**GPT2, "rows": 16, "training": MICRO},
    "gpt2, late weights and L_pt": {**GPT2, "method": "arkd", "lm_weight": 0.1},
    "gpt2, adapters": {**GPT2, "lora": {"rank": 8}},
    "gpt2, cross-entropy": {**GPT2, "rows": 16, "kind": "fit"},
    "gpt2, evaluation": {**GPT2, "rows": 16, "kind": "evaluate", "new": 64},
    "llama": {**LLAMA},
    "llama, checkpoints": {**LLAMA, "rows": 16, "training": CKPT},
    "llama, adapters, micro-batches": {**LLAMA, "lora": {"rank": 8}, "training": MICRO},
    "llama, token divergence": {**LLAMA, "method": "jsd"},
    "llama, bfloat16": {**LLAMA, "training": HALF},
    "llama, bfloat16, checkpoints": {**LLAMA, "training": HALF | CKPT},
    "llama, adapters in bfloat16": {**LLAMA, "lora": {"rank": 8}, "training": HALF, "rows": 16},
    "qwen2": {**QWEN2},
    "qwen2, bfloat16, micro-batches": {**QWEN2, "training": HALF | MICRO, "rows": 16},
    "qwen2, untied, gold": {**UNTIED, "method": "sft"},
}


def planned_mib(asked: dict[str, Any]) -> float:
    shapes = [Shape.of_config(asked[role], role) for role in ("student", "teacher")]
    lora = Lora(**asked["lora"]) if "lora" in asked else None
    held = Held(shapes[0], Training(**asked.get("training", {})), gpu=False, lora=lora)
    rows, length = asked["rows"], asked["length"]
    if asked["kind"] == "evaluate":
        found = memory.evaluating(
            *shapes, held.training, False, rows=rows, length=8 + asked["new"], scored=0,
            positions=rows * (length - 8),
        )  # fmt: skip
    else:
        of = Objective(tensors=3)
        if asked["kind"] == "distill":
            weight = asked.get("lm_weight", 0.0)
            settings = Distillation(steps=2, batch_size=rows, lr=1e-4, lm_weight=weight)
            method = build(MethodEntry.model_validate(asked.get("method", "fixed_mix")))
            of = objective(method, settings, *shapes, new_tokens=0)
        found = memory.training(held, rows, length, of)
    return found.peak / 2**20


def measured_mib(asked: dict[str, Any]) -> float | None:
    """The peak of a process of its own, in which freed memory goes back to the system."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, str(ROOT / "tests" / "measured_peak.py"), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    value: float | None = json.loads(done.stdout.replace("None", "null"))
    return value


@pytest.mark.heavy  # trains a model of the size of each
@pytest.mark.parametrize("name", STAND_INS)
def test_the_planned_peak_is_the_measured_one_within_a_tenth(name: str) -> None:
    asked = {"kind": "distill", "rows": 8, "length": 128} | STAND_INS[name]
    found = measured_mib(asked)
    if found is None:
        pytest.skip("no VmHWM in /proc/self/status to read the peak from: run this on Linux")
    assert planned_mib(asked) == pytest.approx(found, rel=0.1)


# Work


def test_training_is_three_passes_over_the_blocks_and_the_heads_products() -> None:
    student, teacher = (Shape.of_config(SHIPPED[name], "") for name in ("gpt2", "gpt2-xl"))
    held, of = Held(student, Training(), gpu=True), Objective(teacher=teacher)
    found = training(held, of, steps=10, rows=4, lengths=(30, 20))
    tokens, answered = 10 * 4 * 50, 10 * 4 * 20
    assert found.trained_tokens == tokens
    assert found.body_flops == pytest.approx(3 * tokens * student.flops(50))
    # docs/performance.md: 2·N·V·(3H + G)
    width = 3 * student.hidden + teacher.hidden
    assert found.head_flops == pytest.approx(2 * answered * student.vocabulary * width)


def test_what_is_not_kept_is_computed_again() -> None:
    shape = Shape.of_config(SHIPPED["gpt2"], "")

    def passes(lora: Lora | None = None, **settings: Any) -> float:
        held = Held(shape, Training(**settings), gpu=True, lora=lora)
        found = training(held, Objective(), steps=1, rows=4, lengths=(30, 20))
        return found.body_flops / (200 * shape.flops(50))

    assert passes() == pytest.approx(3)
    assert passes(micro_batch=2) == pytest.approx(4)
    assert passes(micro_batch=2, checkpoint_layers=True) == pytest.approx(5)
    assert passes(Lora()) == pytest.approx(2)


def test_decoding_reads_the_weights_once_a_token_and_batch() -> None:
    shape = Shape.of_config(SHIPPED["gpt2"], "")
    one, four = (drawing(shape, 64, 0, 10, batch, "float32") for batch in (64, 16))
    weights = 4 * (shape.products + shape.head)
    assert four.decoded_bytes - one.decoded_bytes == pytest.approx(3 * 10 * weights)
    assert one.drawn_tokens == 640


def test_as_many_answers_are_drawn_at_once_as_a_gpu_has_the_memory_for() -> None:
    """Of 80 GiB the share 0.92 · 0.8 beside what is held, of a row each; a power of two."""
    shape, (small, large) = Shape.of_config(SHIPPED["gpt2"], ""), chosen(["4090", "h100"])
    held = 2**30
    found = drawing(shape, 1000, 0, 10, Room(2**27, held), "float32")
    (fitted,) = found.fitted
    # (73.6 − 1) · 0.8 GiB are 464 rows of 1/8 GiB, hence 256: four batches of a thousand prompts.
    # (22.08 − 1) · 0.8 GiB are 134, hence 128: eight.
    assert [fitted.batches(gpu) for gpu in (large, small)] == [4, 8]
    for gpu, rows in ((large, 256), (small, 128)):
        fixed = drawing(shape, 1000, 0, 10, rows, "float32")
        assert found.hours(gpu, Training()) == pytest.approx(fixed.hours(gpu, Training()))
        twice = (found + found).times(3).hours(gpu, Training())
        assert twice == pytest.approx(6 * fixed.hours(gpu, Training()))
    assert drawing(shape, 1, 0, 10, Room(2**40, held), "float32").fitted[0].batches(small) == 1


# Suites


def planned_jobs(found: Plan) -> Counter[str]:
    """Count the jobs of a plan by stage, those that form results under one name."""
    counts = Counter[str]()
    for job in found.jobs:
        counts["collect" if job.stage.startswith("collect") else job.stage] += job.count
    return counts


def listed_jobs(tree: folders.Tree) -> Counter[str]:
    """Count those of the workflow."""
    return Counter("collect" if job.rule in SHOWN else job.rule for job in job_list(tree))


@pytest.mark.parametrize("name", suite_names())
def test_every_shipped_suite_can_be_planned(name: str) -> None:
    tree, found = folders.tree(name, "/nowhere"), of_suite(name)
    suites = [block.suite for block in tree.blocks.values()] or [tree.suite]  # each trained alone
    counts = planned_jobs(found)
    assert counts == listed_jobs(tree)
    assert counts["student_init"] == sum(len(suite.pairs) * len(suite.seeds) for suite in suites)
    assert found.totals()["disk_bytes"] > 0
    assert all(found.hours(job, GPUS[0]) > 0 for job in found.jobs if job.stage == "distill")


def test_rows_that_cost_the_same_stand_together() -> None:
    groups = [set(job.names) for job in of_suite("longtail").jobs if job.stage == "distill"]
    assert {"forward_kl", "reverse_kl", "fixed_mix"} in groups
    assert {"sft", "seqkd"} in groups
    assert {"greedy_min", "arkd"} in groups


def test_epochs_become_steps() -> None:
    plan = of_suite("gpt2-dolly", prompt=100, response=50)
    teacher = next(job for job in plan.jobs if job.stage == "teacher")
    assert teacher.work.trained_tokens == 3 * (12_000 // 16) * 16 * 150


def test_fine_tuning_gpt2_xl_fits_the_large_gpus_alone() -> None:
    plan = of_suite("gpt2-dolly")
    teacher = next(job for job in plan.jobs if job.stage == "teacher")
    fits = {gpu.name for gpu in plan.gpus if teacher in plan.fitting(gpu)}
    assert fits == {"A100-80GB", "H100-80GB"}


def test_every_job_of_the_paper_suites_fits_one_gpu_of_80_gb() -> None:
    for name in ("gpt2-dolly", "gpt2-dolly-field", "llama-dolly", "qwen-dolly"):
        assert of_suite(name).totals()["gpus"]["A100-80GB"]["jobs_that_do_not_fit"] == 0


def test_what_a_run_has_made_is_counted(smoke: Path) -> None:
    tree = folders.tree("smoke", smoke)
    plan = records.plan(tree, [], Assumed())
    of_stage = {job.stage: job for job in plan.jobs}
    made = {
        role: read_json(tree.training("fixture", role, seed) / "manifest.json")["notes"]
        for role, seed in (("teacher", 0), ("init", 1))
    }
    start = of_stage["student_init"]
    assert of_stage["teacher"].parameters == made["teacher"]["parameters"]
    assert start.work.trained_tokens == pytest.approx(made["init"]["tokens"], rel=0.1)
    assert any(str(tree.data) in note for note in plan.notes)
    assert not any("mean prompt" in note for note in plan.notes)


def test_a_planned_cache_is_as_large_as_the_real_one(smoke: Path) -> None:
    tree = folders.tree("smoke", smoke)
    found, _ = jobs(tree, Assumed())
    for source, within in (("gold", 0.001), ("teacher", 0.25)):
        job = next(job for job in found if "cache" in job.stage and job.names == (source,))
        made = read_json(tree.cache("fixture", source) / "manifest.json")["notes"]
        # Identical samples share their rows, which the plan cannot know.
        apart = made["train_response_tokens"] * made["train_bytes"] / made["train_stored_rows"]
        assert job.disk == pytest.approx(apart, rel=within)


# The command


def test_the_table_is_at_most_a_hundred_columns_wide(capsys: pytest.CaptureFixture) -> None:
    assert main(["plan", "gpt2-dolly"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    assert "gpt2-1.5B-340M" in printed
    assert "These are estimates; nothing was run. Assumed:" in printed
    assert "…" not in printed


def test_csv_and_json_have_every_number(capsys: pytest.CaptureFixture) -> None:
    assert main(["plan", "smoke", "--gpu", "3090", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert main(["plan", "smoke", "--gpu", "3090", "--format", "json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert len(rows) == len(value["jobs"])
    for row, job in zip(rows, value["jobs"], strict=True):
        parts = [job[f"{part}_bytes"] for part in ("weights", "optimiser", "activations", "loss")]
        assert int(row["peak_bytes"]) == job["peak_bytes"] == sum(parts)
    assert set(value["totals"]["gpus"]) == {"RTX-3090-24GB"}


def test_markdown_is_tables(capsys: pytest.CaptureFixture) -> None:
    assert main(["plan", "smoke", "--format", "markdown"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| job |") == 3
    assert "- a mean prompt of" in printed


def test_a_gpu_may_be_named_in_part() -> None:
    assert [gpu.name for gpu in chosen(["4090", "a100"])] == ["RTX-4090-24GB", "A100-80GB"]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["rtx"], ["RTX-4090-24GB", "RTX-3090-24GB"]),
        (["80gb"], ["H100-80GB", "A100-80GB"]),
        (["A100", "A100-80GB"], ["A100-80GB"]),
        (["3090", "RTX"], ["RTX-3090-24GB", "RTX-4090-24GB"]),
    ],
)
def test_a_name_is_of_every_gpu_that_it_fits_and_each_stands_once(
    names: list[str], found: list[str]
) -> None:
    assert [gpu.name for gpu in chosen(names)] == found


def test_an_unknown_gpu_is_one_line(capsys: pytest.CaptureFixture) -> None:
    assert main(["plan", "smoke", "--gpu", "TPU"]) == 2
    assert "--gpu: no 'TPU' in the table; it has H100-80GB" in capsys.readouterr().err


HUB = """extends: smoke
name: hubbed
pairs:
  - name: p
    teacher: {source: hub, repo: someone/thing, revision: "%s"}
    student: {source: cut, layers: 2}
""" % ("0" * 40)


def test_a_model_that_is_not_known_is_named_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "hubbed.yaml"
    path.write_text(HUB, encoding="utf-8")
    assert main(["plan", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pairs.p.teacher: the shape of someone/thing is not known here" in line
    assert "--config someone/thing=FILE" in line

    assert main(["plan", str(path), "--config", "someone/thin=config.json"]) == 2
    wanted = "no model of hubbed (did you mean 'someone/thing'?); of the hub it has someone/thing"
    assert wanted in capsys.readouterr().err

    config = tmp_path / "config.json"
    config.write_text(json.dumps(SHIPPED["gpt2"]), encoding="utf-8")
    assert main(["plan", str(path), "--config", f"someone/thing={config}", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["jobs"]
    teacher = next(job for job in found if job["stage"] == "teacher")
    assert teacher["parameters"] == 124_439_808
    student = next(job for job in found if job["stage"] == "student_init")
    assert student["parameters"] == Shape.of_config(SHIPPED["gpt2"], "").cut(2).parameters


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prompt-tokens", "0"], "--prompt-tokens: must be above 0"),
        (["--config", "thing"], "--config: REPO=FILE is wanted"),
        (
            ["--config", "openai-community/gpt2=config.json"],
            "--config openai-community/gpt2: no model of smoke; of the hub it has none",
        ),
    ],
)
def test_a_wrong_option_is_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["plan", "smoke", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_job_is_named_as_far_as_it_fits() -> None:
    many = Job("distill", names=tuple(f"method_{place}" for place in range(9)))
    assert len(text.named(many)) <= text.LABEL
    assert text.named(many).endswith("+7")


def test_help_shows_examples() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "arkd", "plan", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "arkd plan gpt2-dolly --gpu a100 4090" in done.stdout
