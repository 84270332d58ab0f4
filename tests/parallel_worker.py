"""One of several processes that train students together; run by test_parallel.py.

usage: parallel_worker.py FOLDER CASE…, with a case as JSON: a row, settings of the protocol, how
the student is run (`training`), its `lora`, whether it is `tied`, its `layers`, and after how many
steps all processes are killed (`dies_after`; a training that is may go on in the same FOLDER)
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from arkd import ranks
from arkd.conformance.toy_models import MAX_NEW_TOKENS, SETTINGS, VOCABULARY, Setting, llama, usual
from arkd.data.tokens import TokenSet
from arkd.models import shards
from arkd.models.forward import set_training
from arkd.models.lora import add_adapters
from arkd.models.sharding import frozen, sharder
from arkd.suite.protocol import Distillation, MethodEntry
from arkd.suite.rows import build
from arkd.suite.settings import Lora, Training
from arkd.training import dev_scores, distill
from arkd.training.checkpoint import Checkpoint, flatten

STEPS = 20
# Five responses a step, of unequal lengths: two processes have two and three of them.
PROTOCOL = {**SETTINGS.model_dump(), "steps": STEPS, "batch_size": 5}
CPU = torch.device("cpu")


def float64(setting: Setting) -> Setting:
    """The same with both models in float64; the teacher's cached states stay as they are."""
    setting.student.double()
    setting.teacher.double()
    return setting


def placed(case: dict[str, Any], setting: Setting, sources: Any, gathered: list[int]) -> Any:
    """A student as the case wants it run, sharded where several processes train it so.

    Args:
        case: The case.
        setting: Of the models.
        sources: Whose teacher is sharded with the student.
        gathered: Takes how many blocks are whole, each time that one is run in training.
    """
    training = Training(**case.get("training", {}))
    model = setting.fresh()
    half = training.precision == "bfloat16"
    if half:  # as a stage loads it
        model.to(torch.bfloat16 if "lora" in case else torch.float32)
    if "lora" in case:
        add_adapters(model, Lora(**case["lora"]), "adapters")
        if not half:
            model.double()
    set_training(model, training)
    if training.sharding == "none" or ranks.count() == 1:
        return model
    with sharder(CPU) as shard:
        shard(model)
    load = sources.load_teacher
    sources.load_teacher = lambda: frozen(load, CPU)

    def count(block: Any, _: Any) -> None:
        weights = (next(of.parameters()) for of in shards.blocks(model))
        if model.training:
            gathered.append(sum(not hasattr(weight, "to_local") for weight in weights))

    for block in shards.blocks(model):
        block.register_forward_pre_hook(count)
    return model


def train(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train a student; return its steps, and all that it and its method's state end in."""
    entry = MethodEntry.model_validate(case["row"])
    settings = Distillation.model_validate(PROTOCOL | case.get("settings", {}) | entry.changes)
    setting = usual()
    if shape := {key: case[key] for key in ("layers", "tied") if key in case}:
        student = llama(1, VOCABULARY, hidden=16, **{"tied": True, **shape})
        setting = replace(setting, student=student)
    setting, method = float64(setting), build(entry)
    states, gathered, dies_after = [], [], case.get("dies_after")
    sources = setting.sources(method)
    model = placed(case, setting, sources, gathered)
    prompts = sources.sets["gold"].tokens
    sources.corpus = TokenSet.of([(prompts.prompt(i)[:1], prompts.prompt(i)[1:]) for i in range(9)])

    class Watched(distill.Step):
        """The step, whose state is kept in view."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            states.append(self.state)

        def forward(self, step: int, samples: list[int]) -> Any:
            if step == dies_after:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().forward(step, samples)

    decoding = {"max_new_tokens": MAX_NEW_TOKENS, "label": ""}
    kept, distill.Step = distill.Step, Watched  # type: ignore[misc]
    try:
        judge = dev_scores.judge(
            model, settings.selection, setting.dev, sources.decoder, decoding, "selection"
        )
        checkpoint = Checkpoint(folder / "checkpoint", {}, every_s=0) if dies_after else None
        ran = distill.distill(
            model, method, sources, settings, 1, "", judge=judge, checkpoint=checkpoint
        )
    finally:
        distill.Step = kept  # type: ignore[misc]
    assert not ran.failed
    tensors: dict[str, Tensor] = {}
    state = flatten(states[0].state_dict(), tensors) if states[0] else None
    weights = dict(model.named_parameters())
    teacher = sources.__dict__.get("teacher")  # loaded, if it was asked for
    return {
        "rows": ran.rows,
        "judged": list(ran.judged.values()),
        "state": [state, {name: value.flatten().tolist() for name, value in tensors.items()}],
        "weights": torch.cat([whole(w).detach().flatten() for w in weights.values()]).tolist(),
        "held": {name: [*shards.local(w).shape] for name, w in weights.items()},
        "teacher_held": teacher and sum(shards.local(w).numel() for w in teacher.parameters()),
        "gathered": max(gathered, default=0),
    }


def whole(weight: Any) -> Tensor:
    """All rows of a weight."""
    return weight.full_tensor() if hasattr(weight, "full_tensor") else weight


def main(folder: Path, cases: list[str]) -> None:
    """Train by each row; every process writes what came of it."""
    torch.set_default_dtype(torch.float64)  # of policies, too
    ranks.start()
    for place, case in enumerate(cases):
        found = json.dumps(train(json.loads(case), folder))
        (folder / f"{place}-{ranks.number()}.json").write_text(found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
