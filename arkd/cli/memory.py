"""Too little memory, told in one line with the settings that ask for less."""

from __future__ import annotations

from arkd.errors import ArkdError

FEWER_ROWS = "training.micro_batch (rows at once; the loss is the same)"
RECOMPUTE = "set training.checkpoint_layers: true"
ANSWERS = "decoding.batch_size (answers drawn at once)"
REMEDIES = {
    "teacher": f"lower {FEWER_ROWS}, or {RECOMPUTE}",
    "init": f"lower {FEWER_ROWS}, or {RECOMPUTE}",
    "distill": f"lower {FEWER_ROWS} and, of methods that sample, {ANSWERS}, or {RECOMPUTE}, or "
    "share the student out (training.sharding: full, with several devices)",
    "cache": f"lower {ANSWERS}",
    "evaluate": f"lower {ANSWERS}",
}


def refusal(error: BaseException, what: str, stage: str | None) -> ArkdError:
    """Return the error that a command ends with.

    Args:
        error: What the allocation raised; its first sentences say how much was asked for.
        what: Ran out of memory, as `arkd.errors.out_of_memory` has it.
        stage: That ran, or none.
    """
    text = str(error).splitlines()[0].strip() if str(error) else ""
    size = f" ({text:.200})" if text else ""
    remedy = REMEDIES.get(stage or "")
    else_runs = "run fewer jobs at once" if what == "the machine" else "give it a GPU to itself"
    remedies = f"in the suite {remedy}; or {else_runs}" if remedy else else_runs
    return ArkdError(f"{stage or 'arkd'}: {what} has too little memory{size}: {remedies}")
