"""Other decoders of the same students: what is decoded, and the table of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import simulate
from conftest import ROOT
from lm_eval.api.instance import Instance

from arkd.errors import ArkdError
from arkd.suite.load import load_suite
from arkd.suite.settings import Decoding, DecodingChange
from arkd.suite.suite import Suite
from arkd.tables import build as tables

VARIANTS = (DecodingChange(no_repeat_ngram=0), DecodingChange(top_p=0.5, temperature=0.7))


def test_a_variant_is_named_by_what_it_changes() -> None:
    assert [v.label for v in VARIANTS] == ["no_repeat_ngram=0", "temperature=0.7,top_p=0.5"]


def test_each_decoder_has_a_column_of_its_own_numbers(tmp_path: Path) -> None:
    suite = simulate.suite_of(("forward_kl", "arkd"), decoding=Decoding(variants=VARIANTS))
    rows = simulate.rows_of(suite, sd=0.0)
    task = suite.test_sets[0]
    for row in [r for r in rows if r["metric"] == "rouge_l"]:
        for place, variant in enumerate(VARIANTS):
            rows.append(row | {"group": variant.label, "value": repr(40.0 + 10 * place)})
    simulate.save(suite, tmp_path, rows)
    made = {table.name: table for table in tables.build(suite, tmp_path)}
    arkd = next(row for row in made["decoding"].rows if row.method == "arkd")
    assert [cell.mean for cell in arkd.cells[:3]] == pytest.approx([30.0, 40.0, 50.0])
    of_task = [row.cells for row in made["table1"].rows if row.method == "arkd"]
    assert of_task[0][0].mean == pytest.approx(30.0), task  # the others look at the suite's own


def test_every_pass_is_decoded_as_asked_and_the_next_as_the_suite_says(
    smoke: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from arkd.evaluation.lm_eval_bridge import Harness
    from arkd.storage.stage_writer import Stopwatch

    suite = load_suite("smoke").model_dump()
    suite["decoding"] |= {"no_repeat_ngram": 2, "seeds": [1, 2], "max_new_tokens": 8}
    suite["decoding"]["variants"] = [VARIANTS[0].changes, VARIANTS[1].changes]
    suite |= {"test_sets": suite["test_sets"][:1], "open_tasks": []}
    asked = Suite.model_validate(suite)
    teacher = ROOT / "benchmarks" / "fixtures" / "smoke-teacher"
    harness = Harness(asked, teacher, smoke / "smoke" / "data", "cpu", Stopwatch())
    seen: list[dict[str, Any]] = []
    generate = harness.model.generate

    def note(*args: Any, **options: Any) -> Any:
        seen.append(options)
        return generate(*args, **options)

    monkeypatch.setattr(harness.model, "generate", note)
    values = [
        value
        for decode_seed in asked.decoding.seeds
        for answered in harness.generation(1, decode_seed)
        for value in answered.values
        if value.metric == "rouge_l"
    ]
    labels = ["", *(variant.label for variant in VARIANTS)]
    assert [value.group for value in values] == 2 * labels
    draws = [options["logits_processor"][-1] for options in seen]
    repeats = [options["no_repeat_ngram_size"] for options in seen]
    used = [(n, d.top_p, d.temperature) for n, d in zip(repeats, draws, strict=True)]
    passes = len(used) // 6  # batches of a pass
    assert used[::passes] == 2 * [(2, 0.9, 1.0), (0, 0.9, 1.0), (2, 0.5, 0.7)]


def test_the_continuous_engine_writes_the_answers_of_batches(smoke: Path) -> None:
    from arkd.evaluation.lm_eval_bridge import Harness
    from arkd.storage.stage_writer import Stopwatch

    teacher = ROOT / "benchmarks" / "fixtures" / "smoke-teacher"
    found = []
    for engine in ("batched", "continuous"):
        suite = load_suite("smoke").model_dump()
        suite["decoding"] |= {"engine": engine, "max_new_tokens": 12, "batch_size": 8}
        suite |= {"test_sets": suite["test_sets"][:1], "open_tasks": []}
        asked = Suite.model_validate(suite)
        harness = Harness(asked, teacher, smoke / "smoke" / "data", "cpu", Stopwatch())
        values = [answered.values for answered in harness.generation(1, 1)]
        assert len({written.tokens for written in harness.lm.written.values()}) > 1
        assert harness.lm.batch_size == 8  # of what is scored
        found.append((values, harness.lm.written))
    assert found[0] == found[1]


def test_what_stops_at_a_text_is_not_written_continuously() -> None:
    from arkd.evaluation.lm_eval_model import Writer

    folder = ROOT / "benchmarks" / "fixtures" / "smoke-teacher"
    writer = Writer(folder, "cpu", "float32", 4, "continuous")
    options = {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}
    request = Instance(
        "generate_until", {}, ("A", {"until": ["."], "max_gen_toks": 4} | options), 0
    )
    with pytest.raises(ArkdError, match="stops at no text; set it to batched"):
        writer.generate_until([request], disable_tqdm=True)
