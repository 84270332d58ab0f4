"""Runs the stages of a suite of a few steps and prints a hash of what each wrote, as JSON.

    python tests/portable_stages.py             # as JSON, for test_portable.py to compare
    python tests/portable_stages.py --write     # makes the committed hashes anew

`test_portable.py` runs it on this machine's processor and, emulated, on others.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

SUITE = """
extends: smoke
name: portable
data: {train_examples: 120, dev_examples: 8, test_items: 2, mc_items: 2, ppl_items: 2,
       open_items: 2, truth_certain: 2, truth_ambiguous: 1, truth_unseen: 1}
test_sets: [longtail_id]
choice_tasks: [longtail_mc_head]
pairs:
  - name: pair
    teacher: {source: folder, path: fixtures/smoke-teacher}
    student: {source: scratch, hidden: 32, layers: 1, heads: 2, intermediate: 88}
    teacher_training: {steps: 3, batch_size: 16, lr: 1.0e-3}
student_start: {steps: 8, batch_size: 16, lr: 5.0e-3}
distillation: {steps: 5, batch_size: 16, lr: 5.0e-3, temperature: 2.0, lm_weight: 0.1}
decoding: {seeds: [1], top_p: 0.9, max_new_tokens: 8, batch_size: 64}
tail: {items_per_set: 2}
"""
GOLDEN = Path(__file__).parent / "golden" / "portable.json"
MADE_BY = ("torch", "transformers", "tokenizers", "lm-eval", "rouge-score", "numpy")
PAIR, METHODS = "pair", ("contrastive", "arkd")


def operators() -> dict[str, str]:
    """Return hashes of what single operators give, by the library that computes them."""
    import numpy as np
    import torch

    from arkd.models.device import prepare

    prepare("cpu")
    draws = np.random.default_rng(0)
    a, b = (torch.from_numpy(draws.standard_normal(s).astype("f")) for s in ((200, 90), (90, 130)))
    wide = draws.standard_normal((200, 90))
    attention = torch.nn.functional.scaled_dot_product_attention
    heads = a.reshape(5, 4, 10, 90)[..., :16]
    found = {
        "OpenBLAS, products": (a @ b, b.T @ a.T, torch.bmm(a.view(5, 40, 90), b.expand(5, -1, -1))),
        "numpy, float32 exp, log, sqrt": (a.exp(), a.abs().log(), a.abs().sqrt()),
        "numpy, float64 exp, log, power": (np.exp(wide), np.log(abs(wide)), abs(wide) ** 0.3),
        "ATen, softmax and sums": (a.softmax(-1), a.log_softmax(-1), a.sum(0), a.var(-1)),
        "ATen, activations": tuple(
            f(a) for f in (torch.tanh, torch.sigmoid, torch.nn.functional.gelu, torch.cos)
        ),
        "MKL in attention": (attention(heads, heads, heads, is_causal=True),),
        "ATen and MKL, random draws": (
            torch.randn(999, generator=torch.Generator().manual_seed(1)),
            torch.multinomial(a.softmax(-1), 3, generator=torch.Generator().manual_seed(1)),
        ),
    }
    return {name: _hash(*map(np.ascontiguousarray, values)) for name, values in found.items()}


def stages(folder: Path) -> dict[str, str]:
    """Run the stages in the order of the data, and return a hash of each one's files."""
    from arkd.stages.build_models import init, teacher
    from arkd.stages.cache import cache
    from arkd.stages.distill import distill
    from arkd.stages.evaluate import evaluate
    from arkd.stages.prepare import data, tokens
    from arkd.storage.manifest import digest
    from arkd.suite.folders import tree

    (folder / "portable.yaml").write_text(SUITE, encoding="utf-8")
    made = tree(str(folder / "portable.yaml"), folder)
    found = {}
    data(made)
    found["data"] = digest(made.data)
    tokens(made, PAIR)
    found["tokens"] = digest(made.tokens(PAIR))
    teacher(made, PAIR)
    found["teacher"] = digest(made.training(PAIR, "teacher", 0))
    init(made, PAIR, 1)
    found["init"] = digest(made.training(PAIR, "init", 1))
    for source, seed in (("gold", None), ("teacher", None), ("student", 1), ("prefixes", None)):
        cache(made, PAIR, source, seed)
        found[f"cache {source}"] = digest(made.cache(PAIR, source, seed))
    for method in METHODS:
        distill(made, PAIR, method, 1)
        found[f"distill {method}"] = digest(made.training(PAIR, method, 1))
    evaluate(made, PAIR, METHODS[-1])
    found["evaluate"] = digest(made.evaluation(PAIR, METHODS[-1]))
    return found


def _hash(*arrays: object) -> str:
    return hashlib.sha256(b"".join(memoryview(a).cast("B") for a in arrays)).hexdigest()  # type: ignore[arg-type]


def main() -> None:
    """Print the hashes, or commit them to `golden/portable.json`."""
    from arkd import kernels
    from arkd.storage import provenance

    kernels.choose("portable")
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, dict[str, str]] = {
            "operators": operators(),
            "stages": stages(Path(folder)),
        }
    if sys.argv[1:] == ["--write"]:
        found = {"made by": {name: provenance.versions()[name] for name in MADE_BY}, **found}
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    else:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
