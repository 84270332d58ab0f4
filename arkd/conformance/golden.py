"""Golden trajectories: the losses of 20 steps of every method, which a refactor must reproduce.

`python -m arkd.conformance.golden` writes them anew, for all methods or for those named.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from arkd.conformance.check import subject
from arkd.conformance.method_under_test import Subject
from arkd.conformance.runs import run
from arkd.conformance.toy_models import SETTINGS, usual
from arkd.conformance.watched_step import new_step
from arkd.storage.files import write_json
from arkd.suite import method_listing as catalogue

STEPS = 20
FOLDER = Path("tests/golden")


def losses(subject: Subject) -> list[float]:
    """Return the loss of each step of a run in the usual setting, λ·L_pt included."""
    settings = SETTINGS.model_copy(update={"steps": STEPS})
    rows = run(new_step(usual(), subject.method, settings)).rows
    return [row["loss"] for row in rows]


def main() -> None:
    """Write the trajectories of all shipped methods, or of those named."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("methods", nargs="*", help="all shipped ones if none is named")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the files")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.methods or catalogue.shipped():
        rounded = [float(f"{loss:.7g}") for loss in losses(subject(name))]
        write_json(options.out / f"{name}.json", {"method": name, "losses": rounded})
        print(f"{options.out / name}.json: {rounded[0]:.4f} → {rounded[-1]:.4f}")


if __name__ == "__main__":
    main()
