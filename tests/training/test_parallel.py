"""Several real processes that train one student together do what one process does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import parallel_worker
import pytest
from conftest import PATIENCE_S
from pydantic import ValidationError
from safetensors.torch import load_file

from arkd import processes as together
from arkd import ranks
from arkd.data.tokens import TokenSet
from arkd.suite import registry
from arkd.suite.settings import Training

WORKER = Path(parallel_worker.__file__)
Found = dict[str, Any]


def row(name: str, **keys: Any) -> dict[str, Any]:
    return {"row": {"name": name, **keys}}


# Methods of each kind, and settings that read more of a batch than its tokens, several in a case.
VARIANTS = {
    "weights that come late, of tokens": row("arkd", granularity="token"),
    "one policy, rewarded by text": row("arkd", reward="rouge_l", reward_every=3),
    "a loss of tokens on own prefixes": row("jsd", prefixes="mixed"),
    "fewer responses than processes": row("distillm", capacity=1, threshold=1.0),
    "sequences, a corpus, a sparse teacher, the best state by likelihood": {
        **row("forward_kl", teacher_support="sampled", teacher_support_size=8),
        "settings": {
            **{"reduction": "sequences", "lm_corpus": "corpus"},
            "selection": {"metric": "nll", "points": 3},
        },
    },
    "a support, the best state by text": {
        **row("fixed_mix", support="student_top_k", support_size=4),
        "settings": {"selection": {"points": 4, "items": 3}},
    },
}
EVERY = {name: row(name) for name in registry.names()} | VARIANTS
SHORT = {"steps": 4}
CORE = {
    "weights of the batch": {**row("arkd"), "settings": SHORT},
    "losses of tokens": {**row("jsd"), "settings": {**SHORT, "reduction": "sequences"}},
    "a step that samples": {**row("minillm"), "settings": SHORT},
}
FULL = {"devices": 2, "sharding": "full"}
BLOCKS = 3
LORA = {"rank": 4, "alpha": 8}


def sharded(case: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """A case whose student has several blocks and is shared out; one process takes no notice."""
    training = {**FULL, **keys.pop("training", {})}
    return {"layers": BLOCKS, **case, "training": training, **keys}


SHARDED = {
    "weights, tied": sharded(CORE["weights of the batch"]),
    "a step that samples from both models": sharded(CORE["a step that samples"]),
    "adapters, of rows one after another": sharded(
        row("fixed_mix"), lora=LORA, settings=SHORT, training={"micro_batch": 1}
    ),
    "nothing kept but of fewer responses than processes, a head of its own": sharded(
        row("distillm", capacity=1, threshold=1.0),
        tied=False,
        settings=SHORT,
        training={"micro_batch": 1, "checkpoint_layers": True},
    ),
    "the best state by text": sharded(
        row("arkd", reward="rouge_l", reward_every=2),
        settings={**SHORT, "selection": {"points": 2, "items": 3}},
    ),
}
BFLOAT16 = {"precision": "bfloat16"}
HALF = {
    "weights": sharded(row("fixed_mix"), settings=SHORT, training=BFLOAT16),
    "adapters": sharded(row("fixed_mix"), settings=SHORT, training=BFLOAT16, lora=LORA),
}


@cache
def trained(cases: str, processes: int) -> list[list[Found]]:
    """What each process found of each case, in one start of them all."""
    with TemporaryDirectory() as folder:
        return run(json.loads(cases), processes, Path(folder))


def start(command: list[str], processes: int) -> list[subprocess.Popen[str]]:
    """Start them on a port that is free, which another program may take before they do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if processes > 1:
        env |= {"WORLD_SIZE": str(processes), "TORCHELASTIC_RUN_ID": together.RUN}
    return [
        subprocess.Popen(command, env={**env, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(processes)
    ]


def run(cases: dict[str, Any], processes: int, folder: Path, ends: int = 0) -> list[list[Found]]:
    """What each process found of each case, all of them having ended with a code."""
    texts = [json.dumps(case) for case in cases.values()]
    command = [sys.executable, str(WORKER), str(folder), *texts]
    first, *others = start(command, processes)
    _, errors = first.communicate(timeout=PATIENCE_S)
    if first.returncode and "address already in use" in errors.lower():
        for process in others:
            process.kill()
            process.communicate()
        first, *others = start(command, processes)
        _, errors = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == ends, errors
    for process in others:
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == ends, errors
    if ends:
        return []
    return [
        [json.loads((folder / f"{place}-{rank}.json").read_text()) for rank in range(processes)]
        for place in range(len(texts))
    ]


def common(found: Found) -> Found:
    """What all processes have alike."""
    return {key: value for key, value in found.items() if key != "held"}


def differences(alone: Found, together: Found) -> dict[str, float]:
    """The largest difference of each column of a trajectory, and of the weights it ends in."""
    columns = {key for step in alone["rows"] for key in step} - {"padding"}  # of other batches
    found = {}
    for column in columns:
        values = [[step.get(column, 0.0) for step in of["rows"]] for of in (alone, together)]
        found[column] = max(abs(a - b) for a, b in zip(*values, strict=True))
    for kind in ("weights", "judged"):
        pairs = zip(alone[kind], together[kind], strict=True)
        found[kind] = max((abs(a - b) for a, b in pairs), default=0.0)
    return found


def assert_alike(cases: dict[str, Any], processes: int) -> None:
    text = json.dumps(cases)
    one, several = trained(text, 1), trained(text, processes)
    for name, (alone,), found in zip(cases, one, several, strict=True):
        alike = all(common(other) == common(found[0]) for other in found)
        assert alike, f"{name}: the processes have parted"
        steps = cases[name].get("settings", {}).get("steps", parallel_worker.STEPS)
        assert len(found[0]["rows"]) == steps
        off = differences(alone, found[0])
        worst = max(off, key=lambda key: off[key])
        assert off[worst] < 1e-6, f"{name}: {worst} is off by {off[worst]}"


def test_two_processes_train_as_one_does() -> None:
    assert_alike(CORE, 2)


@pytest.mark.heavy
def test_two_processes_that_share_out_a_model_train_as_one_does() -> None:
    assert_alike(SHARDED, 2)


@pytest.mark.heavy
def test_each_process_has_its_rows_of_every_weight() -> None:
    """The toy's head of 61 rows and its 16 states, in blocks of three; a teacher of 8,904."""
    first, second = trained(json.dumps(SHARDED), 2)[0]
    assert first["held"]["model.embed_tokens.weight"] == [31, 16]
    assert second["held"]["model.embed_tokens.weight"] == [30, 16]
    for held in (first["held"], second["held"]):
        assert held["model.norm.weight"] == [8]
        for block in range(BLOCKS):
            assert held[f"model.layers.{block}.mlp.down_proj.weight"] == [8, 32]
    assert "lm_head.weight" not in first["held"]  # tied: it is the embedding


@pytest.mark.heavy
def test_a_teacher_beside_the_student_is_shared_out_with_it() -> None:
    alone, (first, second) = (trained(json.dumps(SHARDED), n)[1] for n in (1, 2))
    assert first["teacher_held"] + second["teacher_held"] == alone[0]["teacher_held"]
    assert first["teacher_held"] == alone[0]["teacher_held"] / 2


@pytest.mark.heavy
def test_one_block_is_whole_at_a_time_in_training() -> None:
    """Of adapters the first as well, whose inputs have no gradient, while others run once more."""
    most = [{one["gathered"] for one in found} for found in trained(json.dumps(SHARDED), 2)]
    assert most == [{1}, {1}, {2}, {1}, {1}]


@pytest.mark.heavy
def test_bodies_in_bfloat16_are_the_same_shared_out() -> None:
    held = {f"{name}, held": {**case, "training": BFLOAT16} for name, case in HALF.items()}
    found = trained(json.dumps({**HALF, **held}), 2)
    for (shared, _), (whole, _) in zip(found[: len(HALF)], found[len(HALF) :], strict=True):
        off = differences(whole, shared)
        assert max(off.values()) < 1e-6, off


@pytest.mark.heavy
def test_a_killed_training_goes_on_in_another_number_of_processes(tmp_path: Path) -> None:
    case = sharded(row("minillm"), settings={**SHORT, "selection": {"metric": "nll", "points": 4}})
    dies = {"killed": {**case, "dies_after": 3}}
    run(dies, 2, tmp_path, ends=-signal.SIGKILL)
    files = sorted(path.name for path in (tmp_path / "checkpoint").iterdir())
    assert files == [
        "shard-0.safetensors",
        "shard-1.safetensors",
        "state.json",
        "tensors.safetensors",
    ]
    shapes = [
        sorted(value.shape for value in load_file(tmp_path / "checkpoint" / name).values())
        for name in files[:2]
    ]
    # The embedding, its two moments, and the best state's: the rows of each process, once.
    assert [[*of].count((rows, 16)) for of, rows in zip(shapes, (31, 30), strict=True)] == [4, 4]
    again = {"killed": {**case, "dies_after": SHORT["steps"]}}
    ((first, *_),) = run(again, 3, tmp_path)
    ((alone,),) = trained(json.dumps({"killed": case}), 1)
    assert [step["step"] for step in first["rows"]] == [*range(SHORT["steps"])]
    off = differences(alone, first)
    assert max(off.values()) < 1e-6, off


def test_one_process_has_nobody_to_share_a_model_with() -> None:
    with pytest.raises(ValidationError, match="sharding: full needs several processes"):
        Training(sharding="full")
    assert "sharding" not in Training().model_dump()  # as in manifests of before it
    assert Training(**FULL).model_dump()["sharding"] == "full"


@pytest.mark.heavy
@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("sharding", ["none", "full"])
def test_every_method_trains_twenty_steps_alike_in_several_processes(
    processes: int, sharding: str
) -> None:
    shared = sharding == "full"
    assert_alike({n: sharded(case) if shared else case for n, case in EVERY.items()}, processes)


@pytest.mark.parametrize(("rows", "processes"), [(5, 2), (5, 4), (7, 3), (2, 4), (64, 8)])
def test_shares_are_all_rows_once_and_nearly_equal(
    rows: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "count", lambda: processes)
    shares = []
    for rank in range(processes):
        monkeypatch.setattr(ranks, "number", lambda rank=rank: rank)
        shares.append(list(ranks.share(rows)))
    assert [row for share in shares for row in share] == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_shares_of_a_step_have_unequal_numbers_of_tokens() -> None:
    """Were they equal, a mean of the processes' means would do as well."""
    tokens: TokenSet = parallel_worker.usual().sets["gold"].tokens
    lengths = tokens.response_starts.diff()[:5].tolist()
    assert sum(lengths[:2]) / 2 != sum(lengths[2:]) / 3
    assert sum(lengths[:2]) != sum(lengths[2:])
