"""The distillation loss of NeMo AutoModel. The data set shifts the labels."""

from __future__ import annotations

from importlib import import_module

from torch import Tensor

PACKAGE = "nemo-automodel"


def kd(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Return KDLoss.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
    """
    KDLoss = import_module("nemo_automodel.components.loss.kd_loss").KDLoss
    return KDLoss(temperature=temperature)(student, teacher, labels)


DECLARES = {
    "kd": {
        "divergence": "forward_kl",
        "positions": "aligned",
        "reduction": "token mean",
        "temperature_power": 2,
        "teacher_gradient": "caller",
        "note": "nemo_automodel.components.loss.kd_loss.KDLoss",
    },
}
