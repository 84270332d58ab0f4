"""What drawing answers of many lengths costs by each engine: `python tests/measured_sampling.py`.

Processor seconds of interleaved rounds, and whether all engines drew the same answers.
"""

from __future__ import annotations

import random
import time
from statistics import fmean

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from arkd.models.generate import sample

V, ROUNDS = 2048, 2
ENGINES = {
    "one length": {},
    "padded": {"padded": True},
    "continuous": {"engine": "continuous"},
}
SIZES = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 512}


def main() -> None:
    """Print a line for each number of answers at once, then one for the draws of a step."""
    torch.manual_seed(0)
    ends = [*range(1, 1 + V // 40)]  # so that a token in forty ends an answer
    tokens = {"vocab_size": V, "eos_token_id": ends, "pad_token_id": 0, "bos_token_id": None}
    model = LlamaForCausalLM(LlamaConfig(**tokens, **SIZES)).eval()
    draw = random.Random(1)
    prompts = [[draw.randrange(V) for _ in range(draw.randrange(8, 40))] for _ in range(256)]

    def timed(rows: int, size: int, new: int, **engine: object) -> tuple[float, list[list[int]]]:
        start = time.process_time()
        options = {"seed": 1, "max_new_tokens": new, "label": "", "batch_size": size, **engine}
        found = sample(model, prompts[:rows], **options)
        return time.process_time() - start, found

    for engine in ENGINES.values():  # what is loaded late, and the trial of the model
        timed(4, 4, 4, **engine)
    for rows, size, new in ((256, 8, 128), (256, 32, 128), (256, 128, 128), (16, 16, 32)):
        seconds: dict[str, list[float]] = {name: [] for name in ENGINES}
        answers = []
        for _ in range(ROUNDS):
            for name, engine in ENGINES.items():
                took, found = timed(rows, size, new, **engine)
                seconds[name].append(round(took, 2))
                answers.append(found)
        same = all(found == answers[0] for found in answers)
        mean = fmean(map(len, answers[0]))
        print(f"{rows} answers of {mean:.0f} tokens, {size} at once: {seconds}, the same: {same}")


if __name__ == "__main__":
    main()
