"""How an instruction becomes a prompt: every template there is, in one place.

`alpaca` is what MiniLLM and the work that follows it train and test GPT-2, OPT and LLaMA with.

Source: microsoft/LMOps@4f2a9de, minillm/tools/process_data_dolly.py; its text is that of Taori et
al., Stanford Alpaca, 2023.
"""

from __future__ import annotations

from typing import Literal

Template = Literal["alpaca", "plain"]

# Without an input, and with one. A response follows at once, so each ends where it may begin.
TEMPLATES: dict[Template, tuple[str, str]] = {
    "alpaca": (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n{instruction}\n\n### Response:\n",
        "Below is an instruction that describes a task, "
        "paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n",
    ),
    "plain": ("{instruction}\n\n", "{instruction}\n\n{input}\n\n"),
}


def prompt(template: Template, instruction: str, given: str = "") -> str:
    """Return the prompt of an instruction and of what it is applied to, if anything."""
    without, with_input = TEMPLATES[template]
    # One pass, since an instruction may itself hold braces.
    return (with_input if given else without).format(instruction=instruction, input=given)
