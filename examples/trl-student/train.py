"""Train a student of an arkd pack with TRL's stable `DistillationTrainer`: on its own samples.

python train.py PACK OUT --seed 1            # then: arkd score OUT --suite ... (it is printed)
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
import trl
import yaml
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
from trl import DistillationConfig, DistillationTrainer


def main() -> None:
    """Train one student from the pack's start of a seed and save it with its tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, required=True, help="of the start")
    parser.add_argument("--pair", help="default: the suite's first")
    parser.add_argument("--beta", type=float, default=1.0, help="0: forward KL, 1: reverse KL")
    parser.add_argument("--steps", type=int, help="default: those of the suite's own methods")
    options = parser.parse_args()

    suite = yaml.safe_load((options.pack / "suite.yaml").read_text(encoding="utf-8"))
    protocol = suite["distillation"]
    steps = options.steps or protocol["steps"]
    folder = options.pack / (options.pair or suite["pairs"][0]["name"])
    start = folder / "starts" / f"seed{options.seed}"
    tokenizer = AutoTokenizer.from_pretrained(start, padding_side="left")
    student, teacher = (
        AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
        for path in (start, folder / "teacher")
    )
    rows = (options.pack / "train" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = Dataset.from_dict({"prompt": [json.loads(row)["prompt"] for row in rows]})

    set_seed(options.seed)
    trainer = DistillationTrainer(
        model=student,
        teacher_model=teacher,
        args=DistillationConfig(
            output_dir=str(options.out / "trainer"),
            beta=options.beta,
            max_steps=steps,
            per_device_train_batch_size=protocol["batch_size"],
            learning_rate=protocol["lr"],
            lr_scheduler_type=protocol["schedule"],
            warmup_steps=round(protocol["warmup_share"] * steps),
            weight_decay=protocol["weight_decay"],
            max_grad_norm=protocol["clip_norm"],
            max_completion_length=suite["decoding"]["max_new_tokens"],
            temperature=1.0,  # of TRL: one for the samples and the loss
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to="none",
            seed=options.seed,
        ),
        train_dataset=prompts,
        processing_class=tokenizer,
    )
    began = time.process_time()
    trainer.train()
    spent_s = time.process_time() - began
    trainer.model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    print(
        f"arkd score {options.out} --suite {suite['name']} --name trl-opd --seeds {options.seed} "
        f"--declare processor_s={spent_s:.1f} steps={steps} prefixes=student family=prefix "
        f"'software=trl {trl.__version__}'"
    )


if __name__ == "__main__":
    main()
