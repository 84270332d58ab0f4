"""What the `evaluate` modules of `benchmarks/metrics` share: checked logits in, measures out.

The measures are those of the pipeline (`arkd.metrics.token_fidelity`). Importing this module
imports `evaluate`, which takes seconds: nothing of the pipeline does so.

Shapes: N tokens, V vocabulary.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Literal

import evaluate
import numpy as np
import numpy.typing as npt
import torch
from datasets import Features, Sequence, Value
from pydantic import ValidationError
from torch import Tensor

from arkd.divergence.chunked import chunks
from arkd.errors import ArkdError, nearest
from arkd.metrics import logits_input as metric_inputs
from arkd.metrics.token_fidelity import measure
from arkd.suite.settings import TailSettings
from arkd.validated import problem

Kind = Literal["logits", "labels"]
CITATION = """
@software{arkd,
  title   = {arkd: A reproducibility benchmark for white-box distillation of language models},
  author  = {{The arkd developers}},
  version = {0.1.0},
  year    = {2026},
  license = {Apache-2.0}
}
"""  # of the measures that are this project's own
FEATURES: dict[Kind, Any] = {"logits": Sequence(Value("float32")), "labels": Value("int64")}


class LogitsMetric(evaluate.Metric):
    """A metric over tokens: `predictions` are a student's logits, a row of V for each token.

    `references` are the teacher's logits at the same tokens, or the tokens' labels. Rows are lists,
    numpy arrays or torch tensors of any float type; they are kept and measured in float32. A batch
    is checked when it is added, options before anything is computed, so that a mistake leaves the
    metric as it was.
    """

    references: Kind = "logits"
    options: tuple[str, ...] = ()  # keys of `TailSettings` that `compute` takes
    _vocabulary = 0  # of the tokens added so far

    def card(self, description: str, inputs: str, citation: str) -> evaluate.MetricInfo:
        """Return what `evaluate` wants to know of the module."""
        features = {"predictions": FEATURES["logits"], "references": FEATURES[self.references]}
        info = evaluate.MetricInfo(
            description=description,
            citation=citation,
            inputs_description=inputs,
            features=Features(features),
            license="Apache-2.0",
        )
        # Rows come back as arrays, not as lists of floats; the constructor refuses that of rows.
        info.format = "numpy"
        return info

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add the tokens of a batch.

        Raises:
            ArkdError: shapes do not fit, a number is not finite, or probabilities were passed.
        """
        if kwargs:
            raise ArkdError(f"{self.name}: takes predictions and references, not {min(kwargs)}")
        self._write(*self._checked(predictions, references))

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one token: a row of logits, and the teacher's row or the label."""
        self.add_batch(predictions=_one(prediction), references=_one(reference), **kwargs)

    def compute(
        self, *, predictions: Any = None, references: Any = None, **options: Any
    ) -> dict[str, float] | None:
        """Return the measures of everything added, and forget it.

        Raises:
            ArkdError: see `add_batch`; or an option is unknown or out of its range, or nothing was
                added.
        """
        settings = self._settings(options)
        last = None
        if predictions is not None or references is not None:
            last = self._checked(predictions, references)
        vocabulary = self._vocabulary if last is None else last[0].shape[1]
        if "top_k" in self.options and 0 < vocabulary < settings.top_k:
            raise ArkdError(
                f"{self.name}: top_k = {settings.top_k} of a vocabulary of {vocabulary}; "
                "pass a smaller top_k"
            )
        if last is not None:
            self._write(*last)
        if self.writer is None:
            raise ArkdError(f"{self.name}: no tokens: pass or add predictions and references")
        found: dict[str, float] | None = super().compute(settings=settings)
        return found

    def _checked(
        self, predictions: Any, references: Any
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
        """Return a batch as arrays: logits [N, V], and the teacher's or labels [N]."""
        student = metric_inputs.logits(predictions, f"{self.name}: predictions")
        other = f"{self.name}: references"
        truth: npt.NDArray[Any]
        if self.references == "logits":
            truth = metric_inputs.logits(references, other)
            if truth.shape != student.shape:
                raise ArkdError(
                    f"{other}: shape {truth.shape}, but predictions have {student.shape}; give the "
                    "same tokens of both models, cut to the vocabulary that both have"
                )
        else:
            truth = metric_inputs.labels(references, student.shape, other)
        if self.writer is not None and student.shape[1] != self._vocabulary:
            raise ArkdError(
                f"{self.name}: predictions: a vocabulary of {student.shape[1]}, but earlier "
                f"batches had {self._vocabulary}; compute them apart"
            )
        return student, truth

    def _write(self, student: npt.NDArray[np.float32], truth: npt.NDArray[Any]) -> None:
        """Keep a batch as Arrow arrays: `evaluate` itself would look at every number in Python."""
        if not len(student):
            return
        columns = {"predictions": metric_inputs.arrow(student)}
        columns["references"] = metric_inputs.arrow(truth)
        if self.writer is None:
            self._vocabulary = student.shape[1]
            self.selected_feature_format = self.features
            self._init_writer()
        self.writer.write_batch(columns)

    def _settings(self, options: dict[str, Any]) -> TailSettings:
        for key in options:
            if key not in self.options:
                takes = ", ".join(self.options) or "none"
                raise ArkdError(
                    f"{self.name}: unknown option {key}{nearest(key, self.options)}; it has {takes}"
                )
        try:
            return TailSettings(**options)
        except ValidationError as error:
            raise ArkdError(f"{self.name}: {problem(error, options)}") from None


def sums(
    student_NV: npt.NDArray[np.float32], teacher_NV: npt.NDArray[np.float32], settings: TailSettings
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return (sum, weight) over all tokens by (metric, group), chunk by chunk as the pipeline does.

    A metric's value is `ratio` of the two; `arkd.metrics.token_fidelity` says what they are.
    """
    vocabulary = student_NV.shape[1]
    # Too small a vocabulary for the default matters to nobody who did not ask for the agreement.
    settings = settings.model_copy(update={"top_k": min(settings.top_k, vocabulary)})
    tops: dict[tuple[str, str], float] = defaultdict(float)
    weights: dict[tuple[str, str], float] = defaultdict(float)
    for rows in chunks(len(student_NV), vocabulary):
        student_CV, teacher_CV = _tensor(student_NV[rows]), _tensor(teacher_NV[rows])
        labels_C = torch.zeros(len(student_CV), dtype=torch.long)  # `nll` is not asked for
        for key, (top_C, weight_C) in measure(student_CV, teacher_CV, labels_C, settings).items():
            tops[key] += float(top_C.double().sum())
            weights[key] += float(weight_C.double().sum())
    return {key: (tops[key], weights[key]) for key in tops}


def ratio(found: tuple[float, float]) -> float:
    """Return sum / weight; nan if no token counts."""
    return found[0] / found[1] if found[1] else float("nan")


def _tensor(array: npt.NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _one(value: Any) -> Any:
    """Return one token's value as a batch of one."""
    if value is None:
        return None
    return value[None] if isinstance(value, (Tensor, np.ndarray)) else [value]
