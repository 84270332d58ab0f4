"""The output head: the one place where hidden states become logits.

Shapes: C tokens of a chunk, V vocabulary, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Head:
    """Logits z = cap·tanh(scale·(W·h + b) / cap), of which most models use W alone.

    Cohere and Granite scale their logits, Gemma 2 caps them, GPT-J and Phi have a bias.
    """

    weight_VH: Tensor
    bias_V: Tensor | None = None
    scale: float = 1.0
    soft_cap: float | None = None

    def __len__(self) -> int:
        return len(self.weight_VH)

    @property
    def hidden(self) -> int:
        """The size of the states that it reads."""
        return self.weight_VH.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """What logits are computed in: float32, or float64 for a head of that kind."""
        return torch.float64 if self.weight_VH.dtype == torch.float64 else torch.float32

    def cut(self, vocabulary: int) -> Head:
        """Return the head of the first `vocabulary` tokens."""
        return self if vocabulary == len(self) else self._map(lambda x: x[:vocabulary])

    def detach(self) -> Head:
        """Return the head without gradients."""
        return self._map(Tensor.detach)

    def to(self, *args: Any) -> Head:
        """Move or convert its tensors, as `Tensor.to` does."""
        return self._map(lambda x: x.to(*args))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Head:
        bias_V = None if self.bias_V is None else change(self.bias_V)
        return replace(self, weight_VH=change(self.weight_VH), bias_V=bias_V)

    def logits(self, hidden_CH: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the logits [C, V] of some states, in its `dtype`; `out` admits no gradient."""
        hidden_CH = hidden_CH.to(self.dtype)
        if self.scale != 1:
            hidden_CH = hidden_CH * self.scale
        weight_HV = self.weight_VH.to(self.dtype).T
        if self.bias_V is None:
            logits_CV = torch.mm(hidden_CH, weight_HV, out=out)
        else:
            bias_V = self.bias_V.to(self.dtype)
            logits_CV = torch.addmm(bias_V, hidden_CH, weight_HV, beta=self.scale, out=out)
        if self.soft_cap is not None:
            logits_CV = logits_CV.div_(self.soft_cap).tanh_()  # autograd keeps what tanh returns
            return logits_CV * self.soft_cap if out is None else logits_CV.mul_(self.soft_cap)
        return logits_CV
