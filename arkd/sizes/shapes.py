"""The shape of a model, and what follows from it without making one: parameters, bytes, products.

Everything is counted as the model's own code has it: Transformers' GPT-2, Llama, Qwen2 and Qwen3,
with PyTorch's fused attention, which keeps no [T, T] matrix. Shapes: T positions, H hidden size, I
width of the feed-forward layer, Q and K all query and all key heads' sizes together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from arkd.errors import ArkdError
from arkd.suite.contexts import limit
from arkd.suite.settings import Lora, Training
from arkd.validated import shown

# What a configuration counts; more than MOST of anything is a mistake, whatever the model.
SIZES = (
    *("n_embd", "n_layer", "n_head", "n_inner", "n_positions", "vocab_size", "hidden_size"),
    *("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"),
    *("intermediate_size",),
)
OPTIONAL = ("n_inner", "num_key_value_heads", "head_dim")  # null: as the family has it
MOST = 10**9
FAMILIES = ("gpt2", "llama", "mistral", "qwen2", "qwen3")
QWEN3_HEAD = 128  # of a configuration that does not say
BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Linear:
    """One linear layer of a block."""

    name: str
    inputs: int
    outputs: int
    bias: bool


@dataclass(frozen=True)
class Shape:
    """What a configuration says of a model's size."""

    family: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    positions: int = 0  # that have an embedding of their own
    tied: bool = True  # the head is the embedding
    biases: frozenset[str] = frozenset()  # linear layers that have one
    dropout: bool = False
    head_norms: bool = False  # queries and keys are normed, head by head
    context: int | None = None  # the most tokens that it reads

    @classmethod
    def of_config(cls, config: Mapping[str, Any], whose: str) -> Shape:
        """Read a Hugging Face configuration; what it leaves out is as its family has it.

        Args:
            config: The content of config.json.
            whose: Named in the error.

        Raises:
            ArkdError: a family that is not known, or a size that is missing.
        """
        family = str(config.get("model_type"))
        if family not in FAMILIES:
            raise ArkdError(
                f"{whose}: a model of the family '{family}' cannot be planned; known are "
                f"{', '.join(FAMILIES)}"
            )
        for key in SIZES:
            if not _is_size(value := config.get(key, 1)) and (value or key not in OPTIONAL):
                raise ArkdError(
                    f"{whose}: {key}: a whole number above 0 is wanted, found {shown(value)}"
                )
        try:
            found = _gpt2(config) if family == "gpt2" else _llama(family, config)
            return replace(found, context=limit(config))
        except KeyError as error:
            raise ArkdError(f"{whose}: its configuration has no {error}") from None
        except ArkdError as error:
            raise ArkdError(f"{whose}: {error}") from None

    def cut(self, layers: int) -> Shape:
        """Return the shape with so many of the layers."""
        return replace(self, layers=layers)

    @property
    def query(self) -> int:
        """Q: the width of all query heads."""
        return self.heads * self.head_size

    @property
    def key(self) -> int:
        """K: the width of all key heads, and of all value heads."""
        return self.kv_heads * self.head_size

    @property
    def linears(self) -> tuple[Linear, ...]:
        """The linear layers of one block."""
        h, q, k, i = self.hidden, self.query, self.key, self.intermediate
        if self.family == "gpt2":
            sizes = [("c_attn", h, 3 * h), ("c_proj", h, h), ("c_fc", h, i), ("c_proj", i, h)]
        else:
            sizes = [("q_proj", h, q), ("k_proj", h, k), ("v_proj", h, k), ("o_proj", q, h)]
            sizes += [("gate_proj", h, i), ("up_proj", h, i), ("down_proj", i, h)]
        return tuple(Linear(*size, bias=size[0] in self.biases) for size in sizes)

    @property
    def products(self) -> int:
        """Weights of all blocks' linear layers: multiplications of one token's pass."""
        return self.layers * sum(layer.inputs * layer.outputs for layer in self.linears)

    @property
    def head(self) -> int:
        """Weights of the head, and of the embedding."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters, tied ones once."""
        return self.layers * self.block + self.root

    @property
    def block(self) -> int:
        """Parameters of one block."""
        biases = sum(layer.outputs for layer in self.linears if layer.bias)
        heads = 2 * self.head_size if self.head_norms else 0  # scales that all heads share
        return self.products // self.layers + biases + 2 * self._norm + heads

    @property
    def root(self) -> int:
        """Parameters of no block: embeddings, head and the final norm."""
        embeddings = self.head * (1 if self.tied else 2) + self.positions * self.hidden
        return embeddings + self._norm

    @property
    def _norm(self) -> int:
        return self.hidden * (2 if self.family == "gpt2" else 1)  # a shift beside the scale

    def adapters(self, lora: Lora) -> int:
        """Return the parameters of low-rank adapters."""
        chosen = [x for x in self.linears if not lora.targets or x.name in lora.targets]
        return self.layers * lora.rank * sum(x.inputs + x.outputs for x in chosen)

    def kept(self, training: Training, lora: bool, gpu: bool) -> int:
        """Return the bytes that one block keeps of a token from forward to backward pass.

        Args:
            training: The precision; float32 sums and norms stay what they are under autocast.
            lora: Whether the weights are frozen, and lie in the precision themselves.
            gpu: There dropout's mask is a byte, and autocast takes powers in float32.
        """
        h, q, k, i = self.hidden, self.query, self.key, self.intermediate
        half = training.precision == "bfloat16"
        wide = 2 if half else 4
        attention = wide * (2 * q + 2 * k)  # queries, keys, values, what comes out
        if half and lora:
            attention += wide * q  # the adapter's own copy of it
        if self.family == "gpt2":
            states = 2 * h * (4 if gpu or not (half and lora) else 2)
            inputs = 2 * h * wide
            mlp = (16 if gpu and half else 5 * wide) * i  # GELU as five products and a tanh
            masks = 2 * h * (1 if gpu else wide) if self.dropout else 0
            return states + inputs + attention + mlp + masks
        # A norm keeps the states, and the normed ones for the gradient of its scale; under autocast
        # each of the five layers that read a norm casts it for itself.
        norms = 2 * h * (4 if lora else 8)
        if self.head_norms:  # what they norm comes out of a linear layer
            norms += (q + k) * (4 if lora else 6 if half else 8)
        inputs = h * (5 * wide if half else 2 * wide)
        return norms + inputs + attention + 4 * wide * i

    def passing(self, wide: int) -> int:
        """Return the bytes that one block needs of a token when nothing is kept."""
        return wide * (2 * self.hidden + 4 * self.intermediate)

    def cached(self, wide: int) -> int:
        """Return the bytes of a token's keys and values in all blocks."""
        return 2 * self.key * self.layers * wide

    def flops(self, length: float) -> float:
        """Return the operations of a token's pass through the blocks, in a sequence so long.

        A token attends to half of the sequence on average.
        """
        return 2 * self.products + 2 * self.layers * self.query * length


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST


def _gpt2(config: Mapping[str, Any]) -> Shape:
    hidden = config["n_embd"]
    rates = [config.get(f"{place}_pdrop", 0.1) for place in ("resid", "embd", "attn")]
    return Shape(
        family="gpt2",
        hidden=hidden,
        layers=config["n_layer"],
        heads=config["n_head"],
        kv_heads=config["n_head"],
        head_size=hidden // config["n_head"],
        intermediate=config.get("n_inner") or 4 * hidden,
        vocabulary=config["vocab_size"],
        positions=config.get("n_positions", 1024),
        tied=config.get("tie_word_embeddings", True),
        biases=frozenset(("c_attn", "c_proj", "c_fc")),
        dropout=any(rates),
    )


def _llama(family: str, config: Mapping[str, Any]) -> Shape:
    heads = config["num_attention_heads"]
    attention = ("q_proj", "k_proj", "v_proj", "o_proj")
    biases: tuple[str, ...] = attention[:3] if family == "qwen2" else ()
    if config.get("attention_bias"):
        biases += attention
    if config.get("mlp_bias"):
        biases += ("gate_proj", "up_proj", "down_proj")
    return Shape(
        family=family,
        hidden=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim")
        or (QWEN3_HEAD if family == "qwen3" else config["hidden_size"] // heads),
        intermediate=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        tied=config.get("tie_word_embeddings", False),
        biases=frozenset(biases),
        head_norms=family == "qwen3",
    )
