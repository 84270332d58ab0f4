"""What does not fit into a model's context is refused before any model is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from portable_stages import PAIR, SUITE

from arkd.cli.main import main
from arkd.data.tokenizer import load_tokenizer
from arkd.errors import ArkdError
from arkd.paths import benchmarks_dir
from arkd.stages.contexts import check_contexts
from arkd.stages.prepare import data, tokens
from arkd.storage.files import read_json, read_jsonl, write_jsonl
from arkd.suite.contexts import check, limit
from arkd.suite.folders import Tree, tree


def made(folder: Path, context: int, new: int = 8) -> Tree:
    """A suite of a few rows whose student reads so many tokens."""
    text = SUITE.replace("intermediate: 88}", f"intermediate: 88, context: {context}}}")
    text = text.replace("max_new_tokens: 8", f"max_new_tokens: {new}")
    (folder / "portable.yaml").write_text(text, encoding="utf-8")
    found = tree(str(folder / "portable.yaml"), folder)
    data(found)
    return found


def test_a_context_that_is_just_long_enough_is_enough(tmp_path: Path) -> None:
    suite = made(tmp_path, 128)
    tokens(suite, PAIR)
    longest = read_json(suite.tokens(PAIR) / "manifest.json")["notes"]["longest"]
    assert "the longest prompt of test_longtail_id.jsonl with its answer" in longest
    most = max(longest.values())
    for context, passes in ((most, True), (most - 1, False)):
        (tmp_path / str(context)).mkdir()
        suite = made(tmp_path / str(context), context)
        if passes:
            tokens(suite, PAIR)
        else:
            with pytest.raises(ArkdError, match=rf"pairs\.pair: .* takes {most} tokens") as caught:
                tokens(suite, PAIR)
            assert "context of the student has" in str(caught.value)
            assert "\n" not in str(caught.value)
            assert not suite.tokens(PAIR).exists()


def test_one_long_prompt_of_a_test_set_is_found(tmp_path: Path) -> None:
    suite = made(tmp_path, 128)
    path = suite.data / "test_longtail_id.jsonl"
    rows = read_jsonl(path)
    rows[-1]["prompt"] = "who " * 150
    write_jsonl(path, rows)
    tokenizer = load_tokenizer(benchmarks_dir() / "fixtures" / "smoke-teacher")
    said = (
        r"the longest prompt of test_longtail_id\.jsonl with its answer takes \d+ tokens, and the "
    )
    with pytest.raises(ArkdError, match=said + "context of the teacher has 128"):
        check_contexts(suite, PAIR, tokenizer, {})


def test_the_plan_refuses_what_can_be_known_beforehand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SUITE.replace("max_new_tokens: 8", "max_new_tokens: 128")
    (tmp_path / "portable.yaml").write_text(text, encoding="utf-8")
    assert main(["plan", str(tmp_path / "portable.yaml"), "--results", str(tmp_path)]) != 0
    said = capsys.readouterr().err
    assert "an answer takes 129 tokens, and the context of the teacher has 128" in said


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ({"n_positions": 1024}, 1024),
        ({"max_position_embeddings": 2048, "text_config": {"max_position_embeddings": 64}}, 64),
        ({"text_config": None, "n_ctx": 9}, 9),
        ({"model_type": "bloom"}, None),
    ],
    ids=str,
)
def test_a_configuration_says_how_much_a_model_reads(config: dict, context: int | None) -> None:
    assert limit(config) == context


def test_a_model_without_a_limit_reads_anything() -> None:
    check("pairs.pair", {"teacher": None}, {"a row": 10**9})
