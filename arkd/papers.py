"""The benchmark's own entry, and papers that several methods come from."""

from __future__ import annotations

from dataclasses import replace

from arkd import __version__
from arkd.method import Reference

BENCHMARK = f"""@software{{arkd_benchmark,
  title   = {{arkd: a reproducibility benchmark for white-box distillation of language models}},
  author  = {{{{The arkd developers}}}},
  year    = {{2026}},
  version = {{{__version__}}}
}}"""

HINTON = Reference(
    title="Distilling the Knowledge in a Neural Network",
    authors="Hinton, Vinyals, Dean",
    year=2015,
    url="https://arxiv.org/abs/1503.02531",
    bibtex="""@article{hinton2015distilling,
  title   = {Distilling the Knowledge in a Neural Network},
  author  = {Hinton, Geoffrey and Vinyals, Oriol and Dean, Jeff},
  journal = {arXiv preprint arXiv:1503.02531},
  year    = {2015}
}""",
)
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
MINILLM = Reference(
    title="MiniLLM: Knowledge Distillation of Large Language Models",
    authors="Gu, Dong, Wei, Huang",
    year=2024,
    url="https://arxiv.org/abs/2306.08543",
    bibtex="""@inproceedings{gu2024minillm,
  title     = {{MiniLLM}: Knowledge Distillation of Large Language Models},
  author    = {Gu, Yuxian and Dong, Li and Wei, Furu and Huang, Minlie},
  booktitle = {The Twelfth International Conference on Learning Representations},
  year      = {2024},
  note      = {arXiv:2306.08543}
}""",
)
DISTILLM = Reference(
    title="DistiLLM: Towards Streamlined Distillation for Large Language Models",
    authors="Ko, Kim, Chen, Yun",
    year=2024,
    url="https://arxiv.org/abs/2402.03898",
    bibtex="""@inproceedings{ko2024distillm,
  title     = {{DistiLLM}: Towards Streamlined Distillation for Large Language Models},
  author    = {Ko, Jongwoo and Kim, Sungnyun and Chen, Tianyi and Yun, Se-Young},
  booktitle = {Proceedings of the 41st International Conference on Machine Learning},
  year      = {2024},
  note      = {arXiv:2402.03898}
}""",
)
GKD = Reference(
    title="On-Policy Distillation of Language Models: Learning from Self-Generated Mistakes",
    authors="Agarwal, Vieillard, Zhou, Stanczyk, Ramos, Geist, Bachem",
    year=2024,
    url="https://arxiv.org/abs/2306.13649",
    bibtex="""@inproceedings{agarwal2024onpolicy,
  title     = {On-Policy Distillation of Language Models: Learning from Self-Generated Mistakes},
  author    = {Agarwal, Rishabh and Vieillard, Nino and Zhou, Yongchao and Sta{\\'n}czyk, Piotr
               and Ramos, Sabela and Geist, Matthieu and Bachem, Olivier},
  booktitle = {The Twelfth International Conference on Learning Representations},
  year      = {2024},
  note      = {arXiv:2306.13649}
}""",
)
