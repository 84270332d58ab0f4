"""What a method asks of a step, as far as its declarations tell."""

from __future__ import annotations

from arkd.method import FullStep, Method, TokenDivergence, WeightedDivergences
from arkd.sizes.memory import Objective
from arkd.sizes.shapes import Shape
from arkd.suite import rows
from arkd.suite.protocol import Distillation


def runs_teacher(method: Method, settings: Distillation) -> bool:
    """Tell whether the teacher itself is run in the training, on what was drawn there."""
    drawn = rows.draws(method, settings, "student")
    return (drawn and method.reads_teacher) or rows.draws(method, settings, "teacher")


def weighs_late(method: Method) -> bool:
    """Tell whether a method looks at the batch before it weighs forward and reverse KL."""
    return isinstance(method, WeightedDivergences) and (
        "signals" in type(method).weights.__code__.co_names
    )


def objective(
    method: Method, settings: Distillation, student: Shape, teacher: Shape, new_tokens: int
) -> Objective:
    """Return what a method's step holds; of a choice, such as fresh responses or gold, the most.

    Args:
        method: The method.
        settings: Of its row.
        student: What is trained.
        teacher: What is read, if it is.
        new_tokens: Of a response that is drawn.
    """
    beforehand = rows.sources(method, settings)
    sets = max(1, len(beforehand))
    drawn = rows.draws(method, settings, "student")
    lm = method.reads_teacher and settings.lm_weight > 0
    # Gold responses are run once for the loss and λ·L_pt, unless the loss is of others.
    apart = settings.lm_corpus == "corpus" or drawn or "gold" not in beforehand
    late = weighs_late(method)
    both = (
        isinstance(method, WeightedDivergences)
        and method.batch_weights
        and settings.reduction != "sequences"
        and not settings.narrowed
        and student.hidden < teacher.hidden
    )
    by_tokens = isinstance(method, TokenDivergence | FullStep) or settings.narrowed
    return Objective(
        teacher=teacher if method.reads_teacher else None,
        passes=sets + (lm and apart),
        sweeps=sets,
        gradients=2 if late and both else 1,
        late=late and not both,
        tensors=12 if by_tokens and method.reads_teacher else 7,
        lm=lm,
        live=teacher if runs_teacher(method, settings) else None,
        sampled=new_tokens if drawn else 0,
        drawing_share=rows.drawing_share(method, settings),
        mixed=rows.draws(method, settings, "teacher"),
    )
