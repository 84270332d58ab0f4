"""Checks of what a method says of itself, before anything is computed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from typing import get_args

from arkd.conformance.method_under_test import Failure, NotApplicable, Subject
from arkd.method import Need, Reference, Source, WeightedDivergences


def declarations(subject: Subject) -> None:
    """It is a frozen dataclass that states summary, equation, paper, deviations and needs.

    Raises:
        Failure: one of them is missing or malformed, or a parameter has no default.
    """
    method, cls = subject.method, type(subject.method)
    params = vars(cls).get("__dataclass_params__")
    if params is None or not params.frozen:
        raise Failure("class: expected @dataclass(frozen=True)")
    for name in ("summary", "equation"):
        text = getattr(cls, name, None)
        if not isinstance(text, str) or not text.strip() or "\n" in text:
            raise Failure(f"{name}: expected one line of text, got {text!r}")
    reference = getattr(cls, "reference", None)
    if not isinstance(reference, Reference):
        raise Failure(f"reference: expected a Reference, got {reference!r}")
    if not reference.url.startswith("https://"):
        raise Failure(f"reference.url: expected https://…, got {reference.url!r}")
    if not reference.bibtex.strip().startswith("@"):
        raise Failure(f"reference.bibtex: expected an entry @…, got {reference.bibtex[:20]!r}")
    if not any("deviations" in vars(base) for base in cls.__mro__ if base.__module__ != _CONTRACT):
        raise Failure('deviations: expected them to be stated; "none" is `()`, silence is not')
    parameters = {field.name for field in fields(cls)}
    stated = set(cls.defaults)
    if stated and stated != parameters:
        raise Failure(f"defaults: expected {_names(parameters)} or none, got {_names(stated)}")
    _check_needs(subject)
    if method != cls():
        raise Failure("parameters: expected every one to have a default")


_CONTRACT = "arkd.method"


def _check_needs(subject: Subject) -> None:
    needs, responses = subject.method.required, subject.method.responses
    for found, known in ((needs, get_args(Need)), (responses, get_args(Source))):
        unknown = set(found) - set(known)
        if unknown:
            raise Failure(
                f"needs or responses: expected some of {_names(set(known))}, got {unknown}"
            )
    if isinstance(subject.method, WeightedDivergences):
        if "teacher_logits" not in needs:
            raise Failure("needs: expected teacher_logits, which forward and reverse KL read")
        if "gold" not in responses:
            raise Failure("responses: expected gold, on which the divergences are taken")


LOADED = 97  # exit code of an import that loads torch
# What papers and authors' code give their parameters, of what is no choice of this project's.
PUBLISHED: dict[str, dict[str, object]] = {
    "adakd": {
        **{"temperature_scale": 0.5, "share_step": 0.05, "tolerance": 0.05},
        **{"smoothing": 0.99, "warmup": 0.05},
    },
    "akl": {"version": "authors", "threshold": 0.5},
    "alpha_beta": {"alpha": 0.2, "beta": 0.7},
    "amid": {"alpha": 0.5, "teacher_share": 0.5, "divergence": "alpha_beta", "order": "pr"},
    "arkd": {"policy_lr": 1e-4, "gamma": 0.99, "entropy_weight": 0.01},
    "arkd_code": {"reward_every": 100, "rewards_an_update": 5, "epochs": 3}
    | {"policy_lr": 1e-4, "gamma": 0.99, "entropy_weight": 0.01, "weighting": "head_ratio"},
    "arkd_sampled": {"policy_lr": 1e-4, "gamma": 0.99, "entropy_weight": 0.01},
    "bdkd": {"stressed": 3.0, "plain": 1.0},
    "bridge_garden": {"scheme": "confidence", "exponent": 0.1, "warmup": 0.2, "soft_weight": 0.2},
    "ce_kd": {"gold_weight": 0.5},
    "contrastive": {"beta": 1.0, "skew": 0.1, "skew_min": 0.01},
    "csd": {"first": "student", "second": "student"},
    "distillm": {"divergence": "skew_kl", "skew": 0.1, "threshold": 0.0, "threshold_step": 0.1}
    | {"loss_rise": 0.1, "capacity": 1000, "sample_temperature": 1.0},
    "drkl": {"gamma": 1.0},
    "eopd": {"threshold_nats": 0.8, "forward_weight": 1.0, "top_k": 16, "estimator": "sampled"},
    "fixed_advantage": {"advantage": -0.5, "share": 0.2},
    "fixed_mix": {"alpha": 0.5},
    "gkd": {"on_policy_share": 0.5, "beta": 0.5, "sample_temperature": 1.0},
    "iw_opd": {"gamma": 0.5},
    "jsd": {"beta": 0.5},
    "minillm": {"teacher_share": 0.2, "epochs": 4, "clip": 0.2, "gamma": 0.95, "whiten": True},
    "skd": {"teacher_top_k": 25},
    "skew_kl": {"skew": 0.1},
    "skew_rkl": {"skew": 0.1},
    "taid": {"t_start": 0.4, "t_end": 1.0, "alpha": 5e-4, "beta": 0.99},
    "veto": {"beta": 0.3, "beta_end": 0.0, "direction": "forward"},
    "vopd": {"baseline_top_k": None},
}


def published_defaults(subject: Subject) -> None:
    """Its parameters are the published ones unless a suite sets them.

    Raises:
        Failure: a default is another.
        NotApplicable: none are listed for the method.
    """
    listed = PUBLISHED.get(subject.name, {})
    if subject.own_oracle or not listed:
        raise NotApplicable("no published parameters are listed for it")
    for name, value in listed.items():
        found = subject.method.params.get(name, value)
        if found != value:
            raise Failure(f"default of {name}: expected {value!r}, got {found!r}")


def light_import(subject: Subject) -> None:
    """Importing its file does not import torch: listing methods stays fast.

    Raises:
        Failure: the import fails, or loads torch.
        NotApplicable: the method has no file.
    """
    if subject.module is None:
        raise NotApplicable("it has no file")
    code = f"import sys, {subject.module}\nsys.exit({LOADED} if 'torch' in sys.modules else 0)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == LOADED:
        raise Failure(f"importing {subject.module}: expected no torch; import it inside functions")
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with exit code {done.returncode}"]
        raise Failure(f"importing {subject.module}: {said[-1]}")


def _names(found: set[str]) -> str:
    return ", ".join(sorted(found)) or "none"


CHECKS = (declarations, published_defaults, light_import)
