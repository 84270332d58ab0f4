"""The training step on real batches: the loss of the papers, the same evidence for all methods."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from conftest import by_kind

from arkd.data.tokens import TokenSet, batch_order
from arkd.errors import ArkdError
from arkd.method import Context, FullStep, Tools, WeightedDivergences, Weights
from arkd.models import model as models
from arkd.suite import registry, rows
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite
from arkd.suite.protocol import MethodEntry
from arkd.teacher import cache as teacher_cache
from arkd.teacher.cache import Evidence
from arkd.training import distill
from arkd.training import step_responses as responses
from arkd.training import step_tools as tools
from arkd.training.distill import Step
from arkd.training.sources import Sources

TENSORS = ("ids", "starts", "prompt_lengths")
CLASSES = {name: registry.method_class(name) for name in registry.plugins()}
GOLD = [n for n, c in CLASSES.items() if c.responses == ("gold",) and not issubclass(c, FullStep)]
SAMPLED = {n: c.responses for n, c in CLASSES.items() if set(c.responses) - {"gold"}}
FRESH = [n for n, c in CLASSES.items() if "student_samples" in c.needs and n not in SAMPLED]


@pytest.fixture(scope="module")
def tree(smoke: Path) -> Tree:
    return Tree(smoke, load_suite("smoke"))


@dataclass(frozen=True)
class Read:
    """What every step of a run reads of its files; a test takes it as it is, or copies it."""

    sets: dict[str, Evidence]
    head: Any
    dev: TokenSet
    student: Any


@cache  # by the results, of which a session has one
def read(results: Path) -> Read:
    tree = Tree(results, load_suite("smoke"))
    return Read(
        {
            "gold": teacher_cache.load(tree.cache("fixture", "gold"), "train"),
            "teacher": teacher_cache.load(tree.cache("fixture", "teacher"), "train"),
            "student": teacher_cache.load(tree.cache("fixture", "student", 1), "train"),
        },
        teacher_cache.load_head(tree.training("fixture", "teacher", 0)),
        TokenSet.load(tree.tokens("fixture") / "dev.safetensors"),
        models.load(tree.model("fixture", "init", 1), torch.device("cpu")),
    )


def sources(tree: Tree) -> Sources:
    """All that a stage gives its run."""
    files = read(tree.results)
    cpu = torch.device("cpu")
    return Sources(
        dict(files.sets),
        files.head,
        lambda: models.load(tree.model("fixture", "teacher", 0), cpu),
        files.dev,
        tree.tokens("fixture") / "tokenizer",
        tree.suite.decoding.max_new_tokens,
        replayed=(0.5,) * tree.suite.distillation.steps,  # read by a method that replays a run
    )


def make_step(tree: Tree, method: str, **settings: Any) -> Step:
    """The first step of a method on the smoke run's own files."""
    return Step(
        copy.deepcopy(read(tree.results).student),
        rows.build(MethodEntry(name=method)),
        sources(tree),
        tree.suite.distillation.model_copy(update=settings),
        seed=1,
    )


def dense(step: Step, tree: Tree, samples: list[int]) -> dict[str, torch.Tensor]:
    """Both models' float64 logits at the gold response positions, straight from the models."""
    teacher = models.load(tree.model("fixture", "teacher", 0), torch.device("cpu")).double()
    student = models.load(tree.model("fixture", "init", 1), torch.device("cpu")).double()
    tokens = step.sources.sets["gold"].tokens
    found: dict[str, list] = {"student": [], "teacher": [], "labels": [], "lm": []}
    for sample in samples:
        ids = tokens.ids[tokens.starts[sample] : tokens.starts[sample + 1]].long()
        prompt = int(tokens.prompt_lengths[sample])
        with torch.no_grad():
            z_s, z_t = student(ids[None]).logits[0], teacher(ids[None]).logits[0]
        found["student"].append(z_s[prompt - 1 : -1])
        found["teacher"].append(z_t[prompt - 1 : -1])
        found["labels"].append(ids[prompt:])
        log_q = oracles.probabilities(z_s[:-1]).log()
        found["lm"].append(-log_q.gather(1, ids[1:, None]).squeeze(1))
    return {name: torch.cat(parts) for name, parts in found.items()}


@pytest.mark.parametrize("method", ["forward_kl", "reverse_kl", "fixed_mix", "arkd"])
@pytest.mark.parametrize("batch", [0, 1])
def test_the_loss_on_real_batches_is_the_papers_to_1e_5(
    tree: Tree, method: str, batch: int
) -> None:
    step = make_step(tree, method)
    batches = list(batch_order(len(step.sources.sets["gold"].tokens), 2, 16, "distill", 1))
    samples = batches[batch]
    values = dense(step, tree, samples)
    fkl = oracles.fkl(values["student"], values["teacher"], 2.0).mean()
    rkl = oracles.rkl(values["student"], values["teacher"], 2.0).mean()
    loss, log = step(0, samples)
    alpha = {"forward_kl": 1.0, "reverse_kl": 0.0, "fixed_mix": 0.5}.get(method, log["alpha"])
    expected = alpha * fkl + (1 - alpha) * rkl + 0.1 * values["lm"].mean()  # eqs 9 and 12
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert log["fkl"] == pytest.approx(fkl.item(), abs=1e-5)
    assert log["rkl"] == pytest.approx(rkl.item(), abs=1e-5)


def test_t_squared_scales_the_divergence_and_not_the_language_modelling(tree: Tree) -> None:
    samples = [0, 1, 2]
    plain, log = make_step(tree, "forward_kl")(0, samples)
    squared, _ = make_step(tree, "forward_kl", square_temperature=True)(0, samples)
    assert squared.item() - plain.item() == pytest.approx(3 * log["distil"], abs=1e-5)


def seen_by(step: Step, samples: list[int], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What reaches a method's loss: its states, labels and the teacher's states, all observed."""
    seen: dict[str, Any] = {}
    original_batch = TokenSet.batch
    for name in ("token_divergence", "weighted_divergences", "divergences"):
        original = getattr(tools, name)

        def observed(hidden, head, teacher, *rest, original=original, **options):
            seen.update(states=len(hidden), teacher=teacher)
            return original(hidden, head, teacher, *rest, **options)

        monkeypatch.setattr(tools, name, observed)

    def batch(self, *arguments):
        made = original_batch(self, *arguments)
        seen.update(ids=made.ids_BT, positions=made.positions_N, labels=made.labels_N)
        return made

    monkeypatch.setattr(TokenSet, "batch", batch)
    step(0, samples)
    return seen


FIRST_BATCH = next(iter(batch_order(600, 1, 16, "distill", 1)))


@pytest.fixture(scope="module")
def reference(tree: Tree) -> dict[str, Any]:
    """What forward KL sees, which all other methods are compared with."""
    with pytest.MonkeyPatch.context() as patch:
        return seen_by(make_step(tree, "forward_kl"), FIRST_BATCH, patch)


@pytest.mark.parametrize("method", GOLD)
def test_methods_on_gold_responses_see_the_same_evidence(
    tree: Tree, method: str, reference: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = seen_by(make_step(tree, method), FIRST_BATCH, monkeypatch)
    for name in ("ids", "positions", "labels"):
        assert torch.equal(own[name], reference[name])
    assert own["states"] == reference["states"] == len(own["labels"])
    if own["teacher"] is not None:
        assert torch.equal(own["teacher"].hidden_NG, reference["teacher"].hidden_NG)


def test_a_method_without_a_teacher_reads_the_tokens_that_are_cached(tree: Tree) -> None:
    plain = TokenSet.load(tree.tokens("fixture") / "train.safetensors")
    cached = teacher_cache.load(tree.cache("fixture", "gold"), "train").tokens
    assert all(torch.equal(getattr(plain, k), getattr(cached, k)) for k in TENSORS)


@pytest.mark.parametrize("method", [*GOLD, *SAMPLED])
def test_the_denominator_is_the_number_of_response_tokens(tree: Tree, method: str) -> None:
    samples = list(range(16))
    once, _ = make_step(tree, method)(0, samples)
    twice, _ = make_step(tree, method)(0, samples + samples)
    assert twice.item() == pytest.approx(once.item(), abs=2e-6)


@pytest.mark.parametrize("method", SAMPLED)
def test_other_methods_declare_their_responses_and_share_the_prompts(
    tree: Tree, method: str
) -> None:
    step = make_step(tree, method)
    assert step.method.responses == SAMPLED[method]
    gold = step.sources.sets["gold"].tokens
    for source in SAMPLED[method]:
        own = step.sources.sets[source].tokens  # type: ignore[index]
        assert [own.prompt(i) for i in range(20)] == [gold.prompt(i) for i in range(20)]


@pytest.mark.parametrize("method", [*GOLD, *SAMPLED])
def test_a_method_reads_only_the_response_sets_it_declares(tree: Tree, method: str) -> None:
    step = make_step(tree, method)
    needs_gold = "teacher_logits" in step.method.required  # λ·L_pt
    allowed = set(step.method.responses) | ({"gold"} if needs_gold else set())
    for source in set(step.sources.sets) - allowed:
        step.sources.sets[source] = Evidence(TokenSet.of([]))  # no rows to take from
    loss, _ = step(0, [0, 1])
    loss.backward()
    assert torch.isfinite(loss)


@pytest.mark.parametrize("method", FRESH)
def test_methods_that_sample_while_training_answer_the_batchs_prompts(
    tree: Tree, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[list[int]]] = []
    original = responses.sample

    def observe(model: Any, prompts: list[list[int]], **options: Any) -> list[list[int]]:
        asked.append(prompts)
        return original(model, prompts, **options)

    monkeypatch.setattr(responses, "sample", observe)
    step = make_step(tree, method)
    gold = step.sources.sets["gold"].tokens
    for index, samples in enumerate(batch_order(len(gold), 8, 16, "distill", 1)):
        asked.clear()
        loss, _ = step(index, samples)
        assert torch.isfinite(loss)
        for prompts in asked:
            assert prompts == [gold.prompt(row) for row in samples]


def jsd_to_the_teacher(tree: Tree, model: Any) -> float:
    """Mean Jensen–Shannon divergence at the gold response positions of 40 samples, float64."""
    teacher = models.load(tree.model("fixture", "teacher", 0), torch.device("cpu")).double()
    student = copy.deepcopy(model).double().eval()
    tokens = teacher_cache.load(tree.cache("fixture", "gold"), "train").tokens
    found = []
    for sample in range(40):
        ids = torch.tensor([tokens.prompt(sample) + tokens.response(sample)])
        first = len(tokens.prompt(sample)) - 1
        with torch.no_grad():
            p, q = (oracles.probabilities(m(ids).logits[0, first:-1]) for m in (teacher, student))
        found.append(0.5 * oracles.kl(p, (p + q) / 2) + 0.5 * oracles.kl(q, (p + q) / 2))
    return torch.cat(found).mean().item()


@pytest.mark.parametrize("method", by_kind(n for n in CLASSES if n != "fixed_advantage"))
def test_twenty_steps_on_smoke_bring_the_student_nearer_to_its_teacher(
    tree: Tree, method: str
) -> None:
    step = make_step(tree, method)
    before = jsd_to_the_teacher(tree, step.model)
    settings, nearer = tree.suite.distillation, 0.005
    assert settings.steps == 20
    if method in ("minillm", "veto"):  # noise in the first twenty steps, and a target held back
        settings = settings.model_copy(update={"steps": 60})
    elif method in ("eopd", "iw_opd", "vopd"):  # by the sampled token: noise alone at smoke's rate
        settings, nearer = settings.model_copy(update={"steps": 60, "lr": 1e-3}), 0.0
    run = distill.distill(step.model, step.method, step.sources, settings, 1, "")
    assert not run.failed
    assert jsd_to_the_teacher(tree, step.model) < before - nearer


def test_a_promise_of_batch_weights_that_is_broken_is_one_line(tree: Tree) -> None:
    @dataclass(frozen=True)
    class Broken(WeightedDivergences):
        batch_weights = True

        def weights(self, context: Context, tools: Tools) -> Weights:
            ones_N = torch.ones_like(tools.signals().fkl_N)
            return Weights(ones_N, 0.0)

    step = make_step(tree, "forward_kl")
    step.method = Broken()
    with pytest.raises(ArkdError, match="method Broken: weights of single tokens, where its"):
        step(0, [0, 1])


@pytest.mark.parametrize("method", ["forward_kl", "arkd", "jsd"])
@pytest.mark.parametrize("reduction", ["sequences", "sums"])
def test_a_reduction_weighs_tokens_as_it_says(tree: Tree, method: str, reduction: str) -> None:
    """From the loss of each sequence alone: a mean over tokens is then the sequence's own mean."""
    samples = [0, 3, 7]
    step = make_step(tree, method, reduction=reduction, lm_weight=0.0)
    loss, log = step(0, samples)
    alone = make_step(tree, method, lm_weight=0.0)
    if method == "arkd":  # one α for the batch, where each sequence alone would have its own
        alone.method = rows.build(MethodEntry(name="fixed_mix", params={"alpha": log["alpha"]}))
    means = [alone(0, [sample])[0].item() for sample in samples]
    lengths = step.sources.sets["gold"].tokens.response_starts.diff()[samples].tolist()
    weights = [1.0] * 3 if reduction == "sequences" else lengths
    expected = sum(w * m for w, m in zip(weights, means, strict=True)) / 3
    assert len(set(lengths)) > 1
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_another_corpus_takes_the_place_of_the_gold_rows(tree: Tree) -> None:
    texts = TokenSet.of([([5], [9, 2, 7]), ([3], [8, 8, 1, 4, 6]), ([11], [12, 13])])
    step = make_step(tree, "fixed_mix")
    step.sources.corpus = texts
    settings = step.settings.model_copy(update={"lm_corpus": "corpus"})
    model = step.model
    other = Step(model, step.method, step.sources, settings, seed=1)
    _, log = other(0, [0, 1])
    (drawn, *_) = batch_order(3, settings.steps, settings.batch_size, "corpus", 1)
    nll = []
    for sample in drawn:
        ids = texts.ids[texts.starts[sample] : texts.starts[sample + 1]].long()
        with torch.no_grad():
            log_q = oracles.probabilities(model.double()(ids[None]).logits[0, :-1]).log()
        nll.append(-log_q.gather(1, ids[1:, None]))
    assert log["lm"] == pytest.approx(torch.cat(nll).mean().item(), abs=1e-5)
