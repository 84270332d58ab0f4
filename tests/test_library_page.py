"""The page on using arkd in one's own code runs as it stands, and gives what it says."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from conftest import ROOT


def test_the_examples_run_in_order_and_give_the_divergences_of_the_logits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)  # the last example reads a kept run
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(examples) == 5
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    for example in examples:
        exec(example, names)
    with torch.no_grad():
        log_q, log_p = (
            names[model](names["tokens"]).logits[0, :-1].double().log_softmax(-1)
            for model in ("student", "teacher")
        )
    fkl_N = (log_p.exp() * (log_p - log_q)).sum(-1)
    rkl_N = (log_q.exp() * (log_q - log_p)).sum(-1)
    torch.testing.assert_close(names["fkl_N"].double(), fkl_N, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(names["rkl_N"].double(), rkl_N, rtol=1e-4, atol=1e-6)
    log_m = torch.logaddexp(log_q, log_p) - torch.log(torch.tensor(2.0))
    jsd = (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)).sum(-1).mean() / 2
    assert float(names["loss"].detach()) == pytest.approx(float(jsd), rel=1e-4)
    assert float(names["sums_N"].sum() / names["weights_N"].sum()) == pytest.approx(float(jsd))
    gradients = [names["student"].lm_head.weight.grad, names["student"].model.norm.weight.grad]
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    assert "PairedDifference(" in capsys.readouterr().out
