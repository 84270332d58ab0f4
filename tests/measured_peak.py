"""What a stand-in job holds at its peak, measured in this process: `python measured_peak.py JSON`.

The models have a vocabulary of 50,257, so that they and the loss outweigh the interpreter. A tiny
job of the same kind runs first, which loads what is loaded late. glibc has to be told to give freed
memory back (MALLOC_MMAP_THRESHOLD_), or it is counted as held.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from arkd.data.tokens import TokenSet
from arkd.evaluation.fidelity import Items, fidelity, frequency_bands
from arkd.models import model as models
from arkd.models.forward import set_training
from arkd.models.generate import sample
from arkd.perf.memory import peak_mib
from arkd.suite import rows
from arkd.suite.protocol import Distillation, MethodEntry, Optimisation
from arkd.suite.settings import Lora, TailSettings, Training
from arkd.teacher import cache
from arkd.teacher.cache import Evidence
from arkd.training.distill import Sources, distill
from arkd.training.loop import fit_language_model

CPU, PROMPT = torch.device("cpu"), 8
TINY = {
    "gpt2": {"n_embd": 32, "n_layer": 1, "n_head": 4},
    "llama": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    | {"num_attention_heads": 4, "num_key_value_heads": 2},
}
TINY["qwen2"] = TINY["llama"]


def tiny(config: dict[str, Any]) -> dict[str, Any]:
    return config | TINY[config["model_type"]] | {"vocab_size": 64}


def write_model(config: dict[str, Any], folder: Path) -> None:
    sizes = dict(config)
    made = AutoConfig.for_model(sizes.pop("model_type"), **sizes)
    made.pad_token_id, made.eos_token_id, made.bos_token_id = 0, 1, None
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(made)
    model.save_pretrained(folder)
    cache.save_head(folder, model)


def random_rows(rows: int, length: int, vocabulary: int) -> TokenSet:
    drawn = torch.randint(2, vocabulary, (rows, length), generator=torch.Generator().manual_seed(0))
    return TokenSet.of((row[:PROMPT], row[PROMPT:]) for row in drawn.tolist())


class Job:
    """One job on stand-ins, at some size."""

    def __init__(self, asked: dict[str, Any], folder: Path, small: bool) -> None:
        self.asked, self.folder = asked, folder
        of_models = {role: asked[role] for role in ("student", "teacher")}
        if small:
            of_models = {role: tiny(config) for role, config in of_models.items()}
        for role, config in of_models.items():
            write_model(config, folder / role)
        self.rows, length = (4, 12) if small else (asked["rows"], asked["length"])
        vocabulary = of_models["student"]["vocab_size"]
        self.tokens = random_rows(self.rows, length, vocabulary)
        self.training = Training(**asked.get("training", {}))
        teacher = of_models["teacher"]
        self.hidden = torch.randn(
            self.rows * (length - PROMPT), teacher.get("n_embd", teacher.get("hidden_size"))
        )
        gc.collect()

    def load(self) -> Any:
        """A student ready for training, as a stage makes it."""
        lora = self.asked.get("lora")
        held = self.training.precision if lora else "float32"
        model = models.load(self.folder / "student", CPU, held)
        if lora:
            from arkd.models.lora import add_adapters

            add_adapters(model, Lora(**lora), "adapters")
        set_training(model, self.training)
        return model

    def distill(self) -> None:
        method = rows.build(MethodEntry.model_validate(self.asked.get("method", "fixed_mix")))
        settings = Distillation(
            steps=2, batch_size=self.rows, lr=1e-4, lm_weight=self.asked.get("lm_weight", 0.0)
        )
        model = self.load()
        head = cache.load_head(self.folder / "teacher") if method.reads_teacher else None
        evidence = Evidence(self.tokens, self.hidden if method.reads_teacher else None)
        assert not distill(model, method, Sources({"gold": evidence}, head), settings, 1, "").failed

    def fit(self) -> None:
        settings = Optimisation(steps=2, batch_size=self.rows, lr=1e-4)
        assert not fit_language_model(self.load(), self.tokens, settings, "", "fit").failed

    def evaluate(self) -> None:
        precision = self.training.precision
        model = models.load(self.folder / "student", CPU, precision)
        prompts = [self.tokens.prompt(row) for row in range(self.rows)]
        sample(model, prompts, seed=1, max_new_tokens=self.asked["new"], top_p=0.9, label="")
        teacher = models.load(self.folder / "teacher", CPU, precision)
        hidden = cache.hidden_responses(teacher, self.tokens, "")
        nowhere = ["none"] * len(self.tokens)
        head = models.head(teacher)
        list(
            fidelity(
                model,
                Evidence(self.tokens, hidden),
                head,
                Items(nowhere, nowhere),
                frequency_bands(self.tokens, len(head)),
                TailSettings(),
                "fidelity_gold",
            )
        )


def main(asked: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="arkd-peak-") as folder:
        getattr(Job(asked, Path(folder) / "tiny", small=True), asked["kind"])()
        job = Job(asked, Path(folder) / "job", small=False)
        print(peak_mib(getattr(job, asked["kind"])))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
