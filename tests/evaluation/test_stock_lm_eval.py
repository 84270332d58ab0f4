"""The command of a task family's README, run as it stands, against independent computations."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from rouge_score.rouge_scorer import RougeScorer

from arkd.storage.files import read_jsonl

pytestmark = pytest.mark.heavy  # lm-eval from its own command line
MODEL = ROOT / "benchmarks" / "fixtures" / "smoke-teacher"
OOD = ("template", "style", "rare", "combined")
BANDS = ("head", "torso", "tail")


def commands(readme: Path) -> list[list[str]]:
    """The commands of a README's section "Run", split as a shell would."""
    section = readme.read_text(encoding="utf-8").partition("### Run")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.S)
    assert block
    lines = block[1].replace("\\\n", " ").splitlines()
    return [shlex.split(line.replace("MODEL_DIR", str(MODEL))) for line in lines]


class Run:
    """What the commands of a README left in a folder."""

    def __init__(self, family: str, suite: str, folder: Path) -> None:
        (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
        install, *steps = commands(ROOT / "benchmarks" / "tasks" / family / "README.md")
        assert install == ["pip", "install", "-e", "."]  # as the tests are
        assert [step[0] for step in steps] == ["arkd", "lm_eval"]
        # No cache of an earlier run is in reach and, once the data are there, no network.
        own = {"HF_HOME": str(folder / "hf")}
        for step in steps:
            own |= {"HTTPS_PROXY": "http://127.0.0.1:9"} if step[0] == "lm_eval" else {}
            done = subprocess.run(
                step, cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
        self.data = folder / "results" / suite / "data"
        (result,) = (folder / "lm_eval_results").rglob("results_*.json")
        self.found = json.loads(result.read_text(encoding="utf-8"))
        self.samples: dict[str, list[dict[str, Any]]] = {}
        for path in result.parent.glob("samples_*.jsonl"):
            name = path.name.removeprefix("samples_").partition("_2")[0]
            self.samples[name] = [json.loads(line) for line in path.open(encoding="utf-8")]

    def value(self, task: str, metric: str) -> float:
        return float(self.found["results"][task][f"{metric},none"])

    def texts(self, task: str) -> list[tuple[dict[str, Any], str]]:
        """Each item with the text that was sampled for it."""
        return [(sample["doc"], sample["resps"][0][0]) for sample in self.samples[task]]


@pytest.fixture(scope="module")
def longtail(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run("longtail", "longtail", tmp_path_factory.mktemp("stock"))


class Model:
    """A causal model asked one sequence at a time, without lm-eval."""

    def __init__(self) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(MODEL)
        self.model = AutoModelForCausalLM.from_pretrained(MODEL).float().eval()

    def nats(self, prompt: str, text: str) -> float:
        """The log-likelihood of a text after a prompt, both encoded as one; in float64."""
        import torch

        whole = self.tokenizer(prompt + text, add_special_tokens=False)["input_ids"]
        start = len(self.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        if not prompt:  # a text alone starts behind the model's own first token
            whole, start = [self.tokenizer.bos_token_id or self.tokenizer.eos_token_id, *whole], 1
        with torch.inference_mode():
            logits = self.model(torch.tensor([whole])).logits[0].double()
        picked = logits.log_softmax(-1)[range(start - 1, len(whole) - 1), whole[start:]]
        return float(picked.sum())


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


def best_rouge(text: str, references: Iterable[str]) -> float:
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return 100 * max(scorer.score(one, text)["rougeL"].fmeasure for one in references)


def test_every_item_is_asked_once(longtail: Run) -> None:
    table = re.findall(
        r"^\| `(\w+)` \| .* \| `([\w.]+)` \| (\d+) \|",
        (ROOT / "benchmarks" / "tasks" / "longtail" / "README.md").read_text(encoding="utf-8"),
        re.M,
    )
    assert set(longtail.samples) == {name for name, *_ in table}
    for name, file, items in table:
        rows = read_jsonl(longtail.data / file)
        assert len(rows) == int(items) == longtail.found["n-samples"][name]["effective"], name
        docs = [s["doc"] for s in sorted(longtail.samples[name], key=lambda s: s["doc_id"])]
        assert docs == rows, name
        assert longtail.found["versions"][name] == 1.0


@pytest.mark.parametrize("task", ["id", *OOD])
def test_rouge_l_is_the_best_references_mean(task: str, longtail: Run) -> None:
    scores = [
        best_rouge(text, doc["references"]) for doc, text in longtail.texts(f"longtail_{task}")
    ]
    assert longtail.value(f"longtail_{task}", "rouge_l") == pytest.approx(np.mean(scores))
    assert 0 < np.mean(scores) < 100  # a teacher of another world gets something, not all


def test_a_groups_score_is_the_plain_mean_of_its_tasks(longtail: Run) -> None:
    outside = [longtail.value(f"longtail_{task}", "rouge_l") for task in OOD]
    assert longtail.value("arkd_longtail_ood", "rouge_l") == pytest.approx(np.mean(outside))
    accuracies = [longtail.value(f"longtail_mc_{band}", "acc") for band in BANDS]
    assert longtail.value("arkd_longtail_mc", "acc") == pytest.approx(np.mean(accuracies))
    assert set(longtail.found["groups"]) == {"arkd_longtail_ood", "arkd_longtail_mc"}


@pytest.mark.parametrize("band", BANDS)
def test_accuracy_follows_from_log_likelihoods(band: str, longtail: Run, model: Model) -> None:
    right = []
    for row in read_jsonl(longtail.data / f"mc_{band}.jsonl"):
        nats = [model.nats(row["prompt"], choice) for choice in row["choices"]]
        right.append(int(np.argmax(nats)) == row["gold"])
        (sample,) = (s for s in longtail.samples[f"longtail_mc_{band}"] if s["doc"] == row)
        logged = [float(resp[0][0]) for resp in sample["resps"]]
        assert logged == pytest.approx(nats, abs=1e-3)
    assert longtail.value(f"longtail_mc_{band}", "acc") == pytest.approx(np.mean(right))


def test_perplexity_is_that_of_words_and_bytes(longtail: Run, model: Model) -> None:
    texts = [row["text"] for row in read_jsonl(longtail.data / "ppl.jsonl")]
    nats = sum(model.nats("", text) for text in texts)
    words = sum(len(re.split(r"\s+", text)) for text in texts)
    size = sum(len(text.encode()) for text in texts)
    assert longtail.value("longtail_ppl", "word_perplexity") == pytest.approx(
        math.exp(-nats / words), rel=1e-4
    )
    assert longtail.value("longtail_ppl", "bits_per_byte") == pytest.approx(
        -nats / size / math.log(2), rel=1e-4
    )


def test_facts_told_are_the_true_sentences_of_an_answer(longtail: Run) -> None:
    precisions, told = [], []
    for doc, text in longtail.texts("longtail_open"):
        fact_of = defaultdict(set)
        for fact, forms in doc["facts"].items():
            for form in forms:
                fact_of[form].add(fact)
        sentences = [part.strip() + "." for part in re.findall(r"[^.]*[^.\s][^.]*", text)]
        true = [sentence for sentence in sentences if fact_of.get(sentence)]
        precisions.append(len(true) / len(sentences) if sentences else 0.0)
        told.append(len(set().union(*(fact_of[sentence] for sentence in true))))
    assert longtail.value("longtail_open", "factual_precision") == pytest.approx(
        np.mean(precisions)
    )
    assert longtail.value("longtail_open", "facts_told") == pytest.approx(np.mean(told))


def test_the_smollm2_command_runs_as_written(tmp_path: Path) -> None:
    run = Run("smollm2", "smollm2-quick", tmp_path)
    assert len(run.samples) == 9
    for task in ("definition", "use", "continuation", "chat", "rare"):
        scores = [best_rouge(t, doc["references"]) for doc, t in run.texts(f"smollm2_{task}")]
        assert len(scores) == 24
        assert run.value(f"smollm2_{task}", "rouge_l") == pytest.approx(np.mean(scores))
        assert run.found["configs"][f"smollm2_{task}"]["generation_kwargs"]["max_gen_toks"] == 40
    for band in BANDS:
        assert len(run.samples[f"smollm2_mc_{band}"]) == 24
    assert math.isfinite(run.value("smollm2_ppl", "word_perplexity"))
