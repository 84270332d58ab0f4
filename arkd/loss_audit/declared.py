"""What a loss says of itself: what the audit holds it to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from arkd.errors import ArkdError, nearest
from arkd.validated import Frozen, problem

DivergenceName = Literal[
    "forward_kl",
    "reverse_kl",
    "soft_cross_entropy",
    "jsd",
    "mixed_kl",
    "skew_kl",
    "skew_rkl",
    "tvd",
    "alpha_beta",
    "todi",
    "cross_entropy",
    "sampled_rkl",
    "logits_mse",
    "probabilities_mse",
]
Reduction = Literal[
    "token mean",
    "sequence mean",
    "batch mean",
    "sum",
    "padded mean",
    "padded mean, shifted",
    "vocabulary mean",
]
# What a loss declares that follows GKD's family (arXiv 2306.13649), at its default β of a half.
JSD_OF_GKD: dict[str, Any] = {
    "divergence": "jsd",
    "parameter": 0.5,
    "beta": "gkd",
    "beta_0": "forward_kl",
    "beta_1": "reverse_kl",
}


class Declared(Frozen):
    """The claims of a loss; None where it claims nothing.

    Attributes:
        divergence: Its name in the catalogue.
        parameter: Of the divergence, such as the β of `jsd` at the loss's defaults.
        beta: How its β counts: as GKD's (β = 0 is forward KL, the teacher's share of the mixture)
            or as 1 − GKD's.
        beta_0: What it becomes as β → 0.
        beta_1: What it becomes as β → 1.
        positions: `aligned`: logits at t are scored by labels[t]; `shifted`: by labels[t + 1];
            `caller`: the caller hands over scored tokens alone.
        reduction: How the tokens' losses become one.
        scale: A factor beside that, if there is one.
        temperature_power: k where the loss is multiplied by T^k.
        support: k where it looks at the k most probable tokens alone.
        cross_entropy: Weight of cross-entropy of the labels beside the divergence.
        clamp: The largest value that a token's loss may take, if it is cut off there.
        teacher_gradient: `caller` where the caller runs the teacher without gradient.
        logits: `product` where the adapter makes them by a product, which −∞ cannot go through.
        note: How the adapter calls the loss, in words.
    """

    divergence: DivergenceName | None = None
    parameter: float | None = None
    beta: Literal["gkd", "1 - gkd"] | None = None
    beta_0: DivergenceName | None = None
    beta_1: DivergenceName | None = None
    positions: Literal["aligned", "shifted", "caller"] | None = None
    reduction: Reduction | None = None
    scale: float | None = None
    temperature_power: Annotated[int, Field(ge=0, le=4)] | None = None
    support: Annotated[int, Field(ge=1)] | None = None
    cross_entropy: Annotated[float, Field(ge=0, le=1)] | None = None
    clamp: float | None = None
    teacher_gradient: Literal["caller"] | None = None
    logits: Literal["product"] | None = None
    note: str = ""


def declared(name: str, module: Any, loss: str) -> Declared:
    """Return what a module's `DECLARES`, a dict by the losses' names, says of one; nothing if none.

    Args:
        name: Of the target, for messages.
        module: That the loss lies in.
        loss: Its name there.

    Raises:
        ArkdError: it is no dict of dicts, it names what the module has not, or a key or value is
            unknown.
    """
    every = getattr(module, "DECLARES", {})
    given = every.get(loss, {}) if isinstance(every, dict) else every
    for other in every if isinstance(every, dict) else ():
        if not hasattr(module, str(other).partition(".")[0]):
            hint = nearest(str(other), [loss])
            raise ArkdError(f"{name}: DECLARES: no '{other}' in it{hint}")
    if not isinstance(given, dict):
        raise ArkdError(f"{name}: DECLARES: must be a dict by the losses' names, of dicts")
    try:
        return Declared(**given)
    except ValidationError as error:
        raise ArkdError(f"{name}: DECLARES: {problem(error, given)}") from None
