"""A model that a stage trains: loaded as the suite says, judged if it selects, saved whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from arkd import ranks
from arkd.data.tokenizer import load_tokenizer
from arkd.data.tokens import TokenSet
from arkd.errors import ArkdError
from arkd.models import model as models
from arkd.models import room, shards
from arkd.models.forward import set_training
from arkd.models.sign import save_signed
from arkd.sizes.memory import Held, Objective, largest_micro_batch
from arkd.sizes.shapes import Shape
from arkd.suite.folders import Tree
from arkd.suite.protocol import Distillation, Optimisation
from arkd.suite.settings import Lora
from arkd.training.dev_scores import judge


@dataclass
class Trainee:
    """A model in training, with or without adapters."""

    tree: Tree
    pair: str
    model: Any
    parameters: int  # of the model alone
    lora: Lora | None = None
    adapters: Any = None
    loaded: tuple[Path, int] | None = None  # its folder, and the seed of its adapters

    @classmethod
    def load(cls, tree: Tree, pair: str, folder: Path, device: torch.device, seed: int) -> Trainee:
        """Load a student; its adapters, if it has any, are drawn by its seed.

        Args:
            tree: The suite's folders.
            pair: Name of teacher and student in the suite, which says whether there are adapters.
            folder: Of the saved model.
            device: Where it is trained.
            seed: Of the adapters.

        Raises:
            ArkdError: the folder is no model that can be read, or none that can be sharded.
        """
        if tree.suite.training.sharding == "none" or ranks.count() == 1:
            return cls._whole(tree, pair, folder, device, seed)
        from arkd.models.sharding import sharder

        with sharder(device) as shard:
            trainee = cls._whole(tree, pair, folder, torch.device("cpu"), seed)
            shard(trainee.model)
        return trainee

    @classmethod
    def _whole(
        cls, tree: Tree, pair: str, folder: Path, device: torch.device, seed: int
    ) -> Trainee:
        lora, precision = tree.suite.pair(pair).lora, tree.suite.training.precision
        model = models.load(folder, device, precision if lora else "float32")
        trainee = cls.of(tree, pair, model, lora, "student", seed)
        trainee.loaded = folder, seed
        return trainee

    @classmethod
    def of(cls, tree: Tree, pair: str, model: Any, lora: Lora | None, *axes: str | int) -> Trainee:
        """Make a loaded model ready for training.

        Args:
            tree: The suite's folders.
            pair: Name of teacher and student in the suite.
            model: The loaded model.
            lora: The adapters' settings; None: all weights are trained.
            *axes: What the adapters' draws are for; see `derive_seed`.
        """
        adapters, parameters = None, models.parameters(model)
        if lora:
            from arkd.models.lora import add_adapters

            adapters = add_adapters(model, lora, *axes)
        set_training(model, tree.suite.training)
        return cls(tree, pair, model, parameters, lora, adapters)

    @property
    def shape(self) -> Shape:
        """The model's shape.

        Raises:
            ArkdError: its family is not known.
        """
        return Shape.of_config(self.model.config.to_dict(), "training.micro_batch: auto")

    def settle(self, settings: Optimisation, objective: Callable[[], Objective]) -> dict[str, int]:
        """Settle how many rows run at once where the suite leaves it to a GPU's memory.

        Args:
            settings: Of the training.
            objective: Tells what its loss holds; not asked where there is nothing to settle.

        Returns:
            What was settled, for the stage's notes.

        Raises:
            ArkdError: not one row fits, or the model's family is not known.
        """
        training, device = self.tree.suite.training, self.model.device
        if training.micro_batch != "auto" or device.type == "cpu":
            return {}
        chosen, processes = settings.selection, ranks.count()
        draws = chosen is not None and chosen.metric == "rouge_l"
        lora, selects = self.lora, chosen is not None
        held = Held(self.shape, training, True, lora, selects, draws, processes)
        rows = math.ceil(settings.batch_size / processes)
        length, there = self.tree.suite.max_tokens, room.whole(device)
        micro = largest_micro_batch(held, rows, length, objective(), there)
        set_training(self.model, training.model_copy(update={"micro_batch": micro}))
        return {"micro_batch": micro}

    def judge(self, settings: Optimisation, *axes: str | int) -> Callable[[], float] | None:
        """Return what scores the model's states, if the settings select one."""
        if settings.selection is None:
            return None
        tokens, decoding = self.tree.tokens(self.pair), self.tree.suite.decoding
        tokenizer = load_tokenizer(tokens / "tokenizer")
        options = {
            "max_new_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": decoding.top_k,
            "batch_size": decoding.batch_size,
            "engine": decoding.engine,
            "label": "",
            "vocabulary": len(tokenizer),
        }
        rows = TokenSet.load(tokens / "dev.safetensors")
        chosen = settings.selection
        rouge = self.tree.suite.rouge
        return judge(self.model, chosen, rows, tokenizer, options, *axes, rouge=rouge)

    def gathered(self) -> Trainee:
        """Return the student whole; where it is sharded all processes call, and the first has it.

        It is loaded anew, on the CPU, and takes what was trained, weight by weight: no device and
        no memory ever holds more than one whole model.
        """
        if not shards.is_sharded(self.model):
            return self
        assert self.loaded is not None
        place = self.tree, self.pair, self.loaded[0], torch.device("cpu"), self.loaded[1]
        student = self._whole(*place) if ranks.number() == 0 else None
        shards.gather(self.model, student and student.model)
        return student or self

    def save(self, folder: Path, card: str) -> list[float]:
        """Save the model whole, adapters merged, in the suite's precision; return its `sign`."""
        model = self.model
        if self.adapters is not None:
            from arkd.models.lora import merge_adapters

            model = merge_adapters(self.adapters)
        model.to(getattr(torch, self.tree.suite.training.precision))
        return save_signed(model, self.tree.tokens(self.pair) / "tokenizer", folder, card)


def corpus_of(tokens: Path, settings: Distillation) -> TokenSet | None:
    """Return D_p if the settings take it from the data's corpus.

    Raises:
        ArkdError: the data have none.
    """
    if settings.lm_corpus == "gold" or settings.lm_weight == 0:
        return None
    path = tokens / "corpus.safetensors"
    if not path.is_file():
        raise ArkdError(
            "distillation.lm_corpus: the suite's data have no corpus; name one in data.corpus, or "
            "set lm_corpus to gold"
        )
    return TokenSet.load(path)
