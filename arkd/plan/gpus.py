"""A few GPUs: what they hold and how fast they are, at best and in practice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arkd.errors import ArkdError, nearest


@dataclass(frozen=True)
class Gpu:
    """One GPU, dense rates with sums in float32, no sparsity."""

    name: str
    gib: int
    bfloat16: float  # TFLOP/s
    tf32: float
    float32: float
    gb_s: float  # of its memory

    def rate(self, precision: str) -> float:
        """Return the operations a second of a precision, at best."""
        rates = {"bfloat16": self.bfloat16, "tf32": self.tf32, "float32": self.float32}
        return 1e12 * rates[precision]

    def holds(self, peak: int) -> bool:
        """Tell whether a job of so many bytes fits."""
        return peak <= USABLE * self.gib * 2**30


# NVIDIA's data sheets of A100 80GB SXM, H100 SXM, L40S and V100 SXM2 32GB, and its whitepapers on
# GA102 and Ada for the GeForce cards. The V100 has neither bfloat16 nor TF32: PyTorch computes in
# float32.
GPUS = (
    Gpu("H100-80GB", 80, 989.4, 494.7, 66.9, 3350),
    Gpu("A100-80GB", 80, 312.0, 156.0, 19.5, 2039),
    Gpu("L40S-48GB", 48, 362.05, 183.0, 91.6, 864),
    Gpu("V100-32GB", 32, 15.7, 15.7, 15.7, 900),
    Gpu("RTX-4090-24GB", 24, 165.2, 82.6, 82.6, 1008),
    Gpu("RTX-3090-24GB", 24, 71.0, 35.6, 35.6, 936),
)

# Assumptions, printed with every plan.
UTILISATION = 0.4  # of the best rate, in matrix products of ordinary PyTorch
BANDWIDTH_SHARE = 0.6  # of the memory's, while tokens are decoded
LAYER_S = 5e-4  # to start the kernels of one block from Python: small models cost no less
USABLE = 0.92  # of the memory: the rest is CUDA's own and lost between tensors


def chosen(names: Sequence[str]) -> tuple[Gpu, ...]:
    """Return the GPUs that some names or parts of names fit, each once; all if none is named.

    Raises:
        ArkdError: a name is not in the table.
    """
    if not names:
        return GPUS
    fits = {name: [gpu for gpu in GPUS if name.casefold() in gpu.name.casefold()] for name in names}
    for name, found in fits.items():
        if not found:
            known = [gpu.name for gpu in GPUS]
            raise ArkdError(
                f"--gpu: no '{name}'{nearest(name, known)} in the table; it has {', '.join(known)}"
            )
    return tuple(dict.fromkeys(gpu for found in fits.values() for gpu in found))
