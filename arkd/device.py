"""The device of a job, and the one thread that makes a CPU run the same to the byte."""

from __future__ import annotations

import os

import torch

from arkd.errors import ArkdError


def prepare(device: str) -> torch.device:
    """Choose the device and, on a CPU, keep to the threads that the job was given.

    One thread a job: the order of a sum then never depends on how many cores are free.

    Raises:
        ArkdError: a GPU is asked for and there is none.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ArkdError("device: 'cuda' is asked for and no GPU is visible; set 'cpu' or 'auto'")
    if device == "cpu":
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return torch.device(device)
