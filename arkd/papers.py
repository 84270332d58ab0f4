"""Papers that several methods come from."""

from __future__ import annotations

from dataclasses import replace

from arkd.method import Reference

ARKD = Reference(
    title="ARKD: Adaptive Reinforcement Learning-Guided Bidirectional KL Divergence Distillation "
    "for Text Generation",
    authors="Liu, Zhang, Xing, Qiao, Wang, Jiao",
    year=2026,
    url="https://arxiv.org/abs/2606.29869",
    bibtex="""@misc{liu2026arkd,
  title         = {{ARKD}: Adaptive Reinforcement Learning-Guided Bidirectional {KL} Divergence
                   Distillation for Text Generation},
  author        = {Liu, Zilong and Zhang, Xuewen and Xing, Jinrui and Qiao, Juyi and
                   Wang, Huiyong and Jiao, Junming},
  year          = {2026},
  eprint        = {2606.29869},
  archivePrefix = {arXiv},
  primaryClass  = {cs.CL}
}""",
)
ARKD_CODE = replace(ARKD, code="github.com/agi-content-generation/ARKD@28d5c38")
