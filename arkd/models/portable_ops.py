"""Operators of torch on a CPU, by numpy and its OpenBLAS: the same bits on every x86-64 processor.

Of what a training needs, MKL alone rounds differently by the processor: in matrix products,
`exp`, logarithms and `sqrt`. Here numpy computes these, whose products run OpenBLAS's AVX2
kernels (as fast as MKL's own) and whose square root is exact. All other operators stay ATen's.

Shapes: B batch, I, J, K sizes of a product. bfloat16 and float16 are computed in float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import threadpoolctl
import torch
from torch import Tensor

from arkd import kernels
from arkd.errors import ArkdError

UNARY = {name: getattr(np, name) for name in ("exp", "log", "log2", "log10", "sqrt")}
NARROW = (torch.bfloat16, torch.float16)  # numpy has no such type, or no fast one

_installed: list[torch.library.Library] = []  # they take effect as long as they are referred to
_view: list[Callable[[Tensor], np.ndarray]] = [Tensor.numpy]  # the last is how factors are read


def install() -> None:
    """Replace the operators for the rest of the process, if its kernels are portable.

    Raises:
        ArkdError: numpy's products are not those of OpenBLAS's AVX2 kernels.
    """
    if _installed or kernels.chosen() != "portable":
        return
    check_blas(threadpoolctl.threadpool_info())
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*[Oo]verrid")  # that is the purpose
        for name in ("mm", "bmm"):
            library.impl(name, _product, "CPU")
            library.impl(f"{name}.out", _product_out, "CPU")
        for name in ("addmm", "baddbmm"):
            library.impl(name, _add_product, "CPU")
            library.impl(f"{name}_", _add_product_, "CPU")
            library.impl(f"{name}.out", _add_product_out, "CPU")
        for name, function in UNARY.items():
            for suffix, operator in _unary(function).items():
                library.impl(name + suffix, operator, "CPU")
    _installed.append(library)


def leave_resizable() -> None:
    """Read factors so that their memory may be given back, as that of gathered weights is.

    `Tensor.numpy` forbids it for good, and takes 1 µs in place of 3.
    """
    _view.append(np.from_dlpack)


def check_blas(libraries: list[dict[str, Any]]) -> None:
    """Refuse a numpy with another BLAS, such as MKL's: its products differ by the processor.

    Args:
        libraries: What `threadpoolctl` tells of the libraries that are loaded.

    Raises:
        ArkdError: numpy's products are not those of OpenBLAS's AVX2 kernels.
    """
    if not kernels.x86():
        return
    found = [i for i in libraries if i["user_api"] == "blas"]
    ours = [i for i in found if i["internal_api"] == "openblas" and "numpy" in i["filepath"]]
    if not any(i.get("architecture") == kernels.PORTABLE["OPENBLAS_CORETYPE"] for i in ours):
        seen = ", ".join(f"{i['internal_api']} {i.get('architecture', '')}".strip() for i in found)
        raise ArkdError(
            f"kernels: portable needs numpy's own OpenBLAS with its AVX2 kernels, found "
            f"{seen or 'no BLAS'}; install numpy from PyPI as requirements.lock has it, or set "
            "`kernels: fast` in the suite"
        )


def _array(x: Tensor) -> np.ndarray:
    """Return a factor as BLAS takes it: rows or columns in a piece."""
    x = x.detach()
    return _view[-1](x if x.is_contiguous() or x.mT.is_contiguous() else x.contiguous())


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Return a·b: [I, J]·[J, K] or [B, I, J]·[B, J, K]."""
    if a.dtype in NARROW:
        return _product(a.float(), b.float()).to(a.dtype)
    out = a.new_empty(*a.shape[:-1], b.shape[-1])
    np.matmul(_array(a), _array(b), out=out.numpy())
    return out


def _product_out(a: Tensor, b: Tensor, *, out: Tensor) -> Tensor:
    shape = *a.shape[:-1], b.shape[-1]
    if out.shape != shape:
        out.resize_(shape)
    if a.dtype in NARROW or not out.is_contiguous():
        return out.copy_(_product(a, b))
    np.matmul(_array(a), _array(b), out=out.detach().numpy())
    return out


def _add_product(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """Return β·c + α·(a·b); where β is 0, whatever c holds is left out."""
    product = _product(a, b)
    if alpha != 1:
        product.mul_(alpha)
    return product.add_(c, alpha=beta) if beta != 0 else product


def _add_product_(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    return c.copy_(_add_product(c, a, b, beta=beta, alpha=alpha))


def _add_product_out(
    c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1, out: Tensor
) -> Tensor:
    found = _add_product(c, a, b, beta=beta, alpha=alpha)
    if out.shape != found.shape:
        out.resize_(found.shape)
    return out.copy_(found)


def _unary(function: Callable[..., np.ndarray]) -> dict[str, Callable[..., Tensor]]:
    """Return an element-wise operator, in place and into a given tensor, too, by suffix."""

    def into(x: Tensor, *, out: Tensor) -> Tensor:
        if out.shape != x.shape:
            out.resize_(x.shape)
        if x.dtype != out.dtype or x.dtype in NARROW:
            return out.copy_(fresh(x))
        with np.errstate(all="ignore"):  # log 0 and exp 100 are what torch makes of them
            function(x.detach().numpy(), out=out.detach().numpy())
        return out

    def fresh(x: Tensor) -> Tensor:
        if x.dtype in NARROW:
            return fresh(x.float()).to(x.dtype)
        if not x.is_floating_point():
            x = x.to(torch.get_default_dtype())
        return into(x, out=torch.empty_like(x))

    def in_place(x: Tensor) -> Tensor:
        return into(x, out=x)

    return {"": fresh, ".out": into, "_": in_place}
