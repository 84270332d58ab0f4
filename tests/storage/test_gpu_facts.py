"""What a manifest says of GPUs: on files and devices as a CUDA build of PyTorch has them."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from arkd.storage import provenance

# As PyTorch's own build writes it, for CUDA and without.
BUILT = "__version__ = '2.13.0'\ncuda: Optional[str] = {}\nhip: Optional[str] = None\n"


@pytest.mark.parametrize(("line", "cuda"), [("'12.8'", "12.8"), ("None", None)])
def test_cuda_and_what_runs_on_it_are_versions_of_a_build_for_it_alone(
    line: str, cuda: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "version.py").write_text(BUILT.format(line))
    spec = ModuleSpec("torch", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(provenance, "find_spec", lambda name: spec)
    found = provenance.versions.__wrapped__()
    assert found.get("cuda") == cuda
    assert {"peft", "accelerate", "triton"} <= found.keys() if cuda else "peft" not in found


def test_the_real_build_is_read_as_it_says_itself() -> None:
    assert importlib.util.find_spec("torch") is not None
    assert provenance.cuda_version() == torch.version.cuda


def test_gpus_stand_in_the_host_once_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)  # an earlier test's doing
    assert "gpus" not in provenance.host()
    card = SimpleNamespace(name="NVIDIA H100", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    monkeypatch.setattr(provenance, "_driver", lambda: "550.54.15")
    assert provenance.host()["gpus"] == [
        {"name": "NVIDIA H100", "mib": 81920, "driver": "550.54.15"}
    ]
