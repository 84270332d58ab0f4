"""Several real processes that train one student together do what one process does."""

from __future__ import annotations

import json
import os
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

from arkd import processes as together
from arkd import ranks
from arkd.data.tokens import TokenSet
from arkd.suite import registry

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


@cache
def trained(cases: str, processes: int) -> list[list[Found]]:
    """What each process found of each case, in one start of them all."""
    with TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        free.close()
        if processes > 1:
            env |= {"WORLD_SIZE": str(processes), "TORCHELASTIC_RUN_ID": together.RUN}
        texts = [json.dumps(case) for case in json.loads(cases).values()]
        started = [
            subprocess.Popen(
                [sys.executable, str(WORKER), folder, *texts],
                env={**env, "RANK": str(rank)},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(processes)
        ]
        for process in started:
            _, errors = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, errors
        return [
            [
                json.loads((Path(folder) / f"{place}-{rank}.json").read_text())
                for rank in range(processes)
            ]
            for place in range(len(texts))
        ]


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
        assert all(other == found[0] for other in found), f"{name}: the processes have parted"
        steps = cases[name].get("settings", {}).get("steps", parallel_worker.STEPS)
        assert len(found[0]["rows"]) == steps
        off = differences(alone, found[0])
        worst = max(off, key=lambda key: off[key])
        assert off[worst] < 1e-6, f"{name}: {worst} is off by {off[worst]}"


def test_two_processes_train_as_one_does() -> None:
    assert_alike(CORE, 2)


@pytest.mark.heavy
@pytest.mark.parametrize("processes", [2, 4])
def test_every_method_trains_twenty_steps_alike_in_several_processes(processes: int) -> None:
    assert_alike(EVERY, processes)


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
