"""The device of a job, and the one thread that makes a CPU run the same to the byte."""

from __future__ import annotations

import torch

from arkd import kernels, ranks
from arkd.errors import ArkdError
from arkd.models import portable_ops
from arkd.seeding import derive_seed
from arkd.storage import gpus


def prepare(device: str, tf32: bool = False) -> torch.device:
    """Choose the device and, on a CPU, keep to the threads that the job was given.

    One thread a job: the order of a sum then never depends on how many cores are free. Of several
    GPUs a process takes one that is free, before CUDA starts and sees them all.

    Raises:
        ArkdError: a GPU is asked for and there is none.
    """
    if device != "cpu" and torch.version.cuda:
        gpus.take()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ArkdError("device: 'cuda' is asked for and no GPU is visible; set 'cpu' or 'auto'")
    if device == "cpu":
        torch.set_num_threads(1 if kernels.chosen() == "portable" else kernels.threads())
        portable_ops.install()
    else:  # whatever the environment or a library has set
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
    return torch.device(device)


def seed_draws(device: torch.device, *axes: str | int) -> None:
    """Seed what a step draws by chance (dropout), from named axes.

    Of several processes that train together each draws its own. `torch.manual_seed` does as much,
    but notes the call, with its stack, for each backend that is not in use: at every step, for
    ever.
    """
    seed = derive_seed(*axes, *([ranks.number()] if ranks.number() else []))
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
