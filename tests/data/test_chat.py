"""Conversations through chat templates: which token is read, which is learnt, written by hand.

The templates are those of the two families, as they publish them, cut down to text turns.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_files import write_lines
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from arkd.data.files.chat import Chat
from arkd.data.files.source import FilesSpec, build
from arkd.data.tokenizer import load_tokenizer, text_ids
from arkd.data.tokens import encode
from arkd.errors import ArkdError
from arkd.storage import given

# Qwen2.5: a default system turn, turns between <|im_start|> and <|im_end|>.
QWEN = (
    "{%- if messages[0]['role'] == 'system' %}"
    "{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message.role != 'system' or not loop.first %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and not enable_thinking %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
# Llama 3: <|begin_of_text|> first, contents trimmed, turns ended by <|eot_id|>.
LLAMA = (
    "{% for message in messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'"
    " + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
SPECIAL = {
    "qwen": ["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
    "llama": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
}
WORDS = "system user assistant You help . ? Who are you I am Ann 1 + = 2 3 < | im _ end > eot id"
TALK = [
    {"role": "system", "content": "You help."},
    {"role": "user", "content": "Who are you?"},
    {"role": "assistant", "content": "I am Ann."},
    {"role": "user", "content": "1+2?"},
    {"role": "assistant", "content": "1+2=3"},
]


def write_tokenizer(folder: Path, family: str, end: str | None = None) -> Path:
    """Save a tokenizer of whole words, so that an expectation can be read."""
    words = ["[UNK]", "\n", "\n\n", *WORDS.split()]
    words += [f" {word}" for word in WORDS.split()]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"\n\n|\n| ?[A-Za-z]+|[^A-Za-z\n]"), "isolated"
    )
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")
    made.add_special_tokens({"additional_special_tokens": SPECIAL[family]})
    made.eos_token = end or {"qwen": "<|im_end|>", "llama": "<|eot_id|>"}[family]
    if family == "llama":
        made.bos_token = "<|begin_of_text|>"
        bos = made.convert_tokens_to_ids(made.bos_token)
        made.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{made.bos_token} $A", special_tokens=[(made.bos_token, bos)]
        )
    made.chat_template = {"qwen": QWEN, "llama": LLAMA}[family]
    made.save_pretrained(folder)
    return folder


def spec(folder: Path, **changes: Any) -> FilesSpec:
    return FilesSpec(
        train=str(folder / "train.jsonl"),
        tests={"asked": str(folder / "test.jsonl")},
        **{
            "dev": str(folder / "train.jsonl"),
            "chat_template": str(folder / "tokenizer"),
            **changes,
        },
    )


def built(folder: Path, talks: list[list[dict[str, str]]], **changes: Any) -> Path:
    write_lines(folder / "train.jsonl", ({"messages": talk} for talk in talks))
    write_lines(folder / "test.jsonl", [{"messages": TALK}])
    build(spec(folder, **changes), folder / "data")
    return folder / "data"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def learnt(folder: Path, data: Path) -> list[list[tuple[str, bool]]]:
    """Return each row's tokens as the trainings see them, and whether the loss is on them."""
    tokenizer = load_tokenizer(folder / "tokenizer")
    tokens, dropped = encode(tokenizer, rows(data / "train.jsonl"), max_tokens=1000)
    assert dropped == 0
    found = []
    for sample in range(len(tokens)):
        read, said = tokens.prompt(sample), tokens.response(sample)
        names = tokenizer.convert_ids_to_tokens([*read, *said])
        # The batches' own mask: the positions that predict a response token, one further on.
        batch = tokens.batch([sample], pad_id=0)
        on = {int(position) + 1 for position in batch.positions_N}
        found.append([(name, place in on) for place, name in enumerate(names)])
    return found


def by_hand(text: str) -> list[tuple[str, bool]]:
    """Read an expectation: tokens between bars, ^ before those that the loss is on."""
    tokens = [part.replace("¶", "\n") for part in text.split("¦")]
    return [(token.removeprefix("^"), token.startswith("^")) for token in tokens]


QWEN_FIRST = (
    "<|im_start|>¦system¦¶¦You¦ help¦.¦<|im_end|>¦¶"
    "¦<|im_start|>¦user¦¶¦Who¦ are¦ you¦?¦<|im_end|>¦¶"
    "¦<|im_start|>¦assistant¦¶¦^I¦^ am¦^ Ann¦^.¦^<|im_end|>"
)
QWEN_SECOND = (
    "<|im_start|>¦system¦¶¦You¦ help¦.¦<|im_end|>¦¶"
    "¦<|im_start|>¦user¦¶¦Who¦ are¦ you¦?¦<|im_end|>¦¶"
    "¦<|im_start|>¦assistant¦¶¦I¦ am¦ Ann¦.¦<|im_end|>¦¶¦<|im_start|>¦user¦¶¦1¦+¦2¦?¦<|im_end|>¦¶"
    "¦<|im_start|>¦assistant¦¶¦^1¦^+¦^2¦^=¦^3¦^<|im_end|>"
)
LLAMA_FIRST = (
    "<|begin_of_text|>¦<|start_header_id|>¦system¦<|end_header_id|>¦¶¶¦You¦ help¦.¦<|eot_id|>"
    "¦<|start_header_id|>¦user¦<|end_header_id|>¦¶¶¦Who¦ are¦ you¦?¦<|eot_id|>"
    "¦<|start_header_id|>¦assistant¦<|end_header_id|>¦¶¶¦^I¦^ am¦^ Ann¦^.¦^<|eot_id|>"
)
LLAMA_SECOND = (
    "<|begin_of_text|>¦<|start_header_id|>¦system¦<|end_header_id|>¦¶¶¦You¦ help¦.¦<|eot_id|>"
    "¦<|start_header_id|>¦user¦<|end_header_id|>¦¶¶¦Who¦ are¦ you¦?¦<|eot_id|>"
    "¦<|start_header_id|>¦assistant¦<|end_header_id|>¦¶¶¦I¦ am¦ Ann¦.¦<|eot_id|>"
    "¦<|start_header_id|>¦user¦<|end_header_id|>¦¶¶¦1¦+¦2¦?¦<|eot_id|>"
    "¦<|start_header_id|>¦assistant¦<|end_header_id|>¦¶¶¦^1¦^+¦^2¦^=¦^3¦^<|eot_id|>"
)


@pytest.mark.parametrize(
    ("family", "expected"),
    [("qwen", [QWEN_FIRST, QWEN_SECOND]), ("llama", [LLAMA_FIRST, LLAMA_SECOND])],
)
def test_the_loss_is_on_the_assistants_turns_token_by_token(
    family: str, expected: list[str], tmp_path: Path
) -> None:
    write_tokenizer(tmp_path / "tokenizer", family)
    data = built(tmp_path, [TALK])
    assert learnt(tmp_path, data) == [by_hand(text) for text in expected]


@pytest.mark.parametrize("family", ["qwen", "llama"])
def test_what_is_read_is_what_the_library_makes_of_it(family: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_tokenizer(tmp_path / "tokenizer", family))
    data = built(tmp_path, [TALK])
    tokens, _ = encode(tokenizer, rows(data / "train.jsonl"), max_tokens=1000)
    for sample, turns in enumerate((2, 4)):
        expected = tokenizer.apply_chat_template(
            TALK[:turns], tokenize=True, add_generation_prompt=True, return_dict=False
        )
        assert tokens.prompt(sample) == expected


def test_a_test_asks_for_the_last_turn_alone(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer", "qwen")
    data = built(tmp_path, [TALK])
    (test,) = rows(data / "test_asked.jsonl")
    assert test["references"] == ["1+2=3"]
    assert test["prompt"] == rows(data / "train.jsonl")[1]["prompt"]


def test_no_development_answer_stands_in_a_prompt_of_training(tmp_path: Path) -> None:
    """Conversations of several turns go whole to one side: later prompts hold earlier answers."""
    write_tokenizer(tmp_path / "tokenizer", "qwen")
    talks = [
        [
            {"role": role, "content": f"{role} {turn} of talk {talk}"}
            for turn in range(3)
            for role in ("user", "assistant")
        ]
        for talk in range(6)
    ]
    data = built(tmp_path, talks, dev=None, dev_examples=4)
    dev, train = rows(data / "dev.jsonl"), rows(data / "train.jsonl")
    assert len(dev) == 4
    assert len(train) == 3 * (6 - 2)  # two talks were needed for four rows
    for row in dev:
        assert not any(row["response"] in other["prompt"] + other["response"] for other in train)


def test_an_answer_beside_a_conversation_is_refused(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer", "qwen")
    write_lines(tmp_path / "train.jsonl", [{"messages": TALK}])
    write_lines(tmp_path / "test.jsonl", [{"messages": TALK[:4], "response": "An answer."}])
    with pytest.raises(ArkdError, match=r"test\.jsonl.* response: would not be read"):
        build(spec(tmp_path), tmp_path / "out")


def test_a_conversation_that_waits_for_an_answer_is_a_test_without_one(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "tokenizer", "qwen").parent
    write_lines(folder / "train.jsonl", [{"messages": TALK}])
    write_lines(folder / "test.jsonl", [{"messages": TALK}, {"messages": TALK[:4]}])
    build(spec(folder), folder / "data")
    last = rows(folder / "data" / "test_asked.jsonl")[1]
    assert last["references"] == []
    assert last["prompt"] == rows(folder / "data" / "train.jsonl")[1]["prompt"]


def test_the_thinking_switch_reaches_the_template(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "tokenizer", "qwen")
    prompt = Chat(folder, {"enable_thinking": False}).prompt(TALK[:2], "here")
    assert prompt.endswith("assistant\n<think>\n\n</think>\n\n")
    assert Chat(folder, {}).prompt(TALK[:2], "here").endswith("assistant\n")
    # A template that asks with a thought and writes a finished turn without one cannot be learnt.
    with pytest.raises(ArkdError, match="enable_thinking"):
        list(Chat(folder, {"enable_thinking": False}).rows(TALK, "here"))


def test_the_name_of_a_token_inside_a_message_stays_text(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "tokenizer", "qwen")
    tokenizer = load_tokenizer(folder)
    told = [{"role": "user", "content": "Who<|im_end|>?"}]
    ids = text_ids(tokenizer, [Chat(folder, {}).question(told, "here")])[0]
    names = tokenizer.convert_ids_to_tokens(ids)
    assert names.count("<|im_end|>") == 2  # of the default system turn, and of this one
    asked = names[names.index("user") :]
    said = ["<", "|", "im", "_", "end", "|", ">"]
    assert asked[:11] == ["user", "\n", "Who", *said, "?"]


def test_sharegpt_and_alpaca_columns_give_the_same_rows(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "tokenizer", "llama").parent
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    shared = [{"from": names[t["role"]], "value": t["content"]} for t in TALK]
    asked = {"instruction": "Who are you?", "input": "", "output": "I am Ann."}
    write_lines(folder / "train.jsonl", [{"conversations": shared}, {"messages": TALK}, asked])
    write_lines(folder / "test.jsonl", [{"messages": TALK}])
    build(spec(folder, template="plain"), folder / "data")
    a, b, c, d, alpaca = rows(folder / "data" / "train.jsonl")
    assert [a["prompt"], b["prompt"]] == [c["prompt"], d["prompt"]]
    assert (alpaca["prompt"], alpaca["response"]) == ("Who are you?\n\n", "I am Ann.")


def saved(folder: Path, table: pa.Table) -> Path:
    """Write a table as `datasets` saves one, in two files out of the order of their names."""
    folder.mkdir()
    for name, part in (("b.arrow", table.slice(0, 1)), ("a.arrow", table.slice(1))):
        with (
            pa.OSFile(str(folder / name), "wb") as sink,
            pa.ipc.new_stream(sink, part.schema) as out,
        ):
            out.write_table(part)
    state = {"_data_files": [{"filename": "b.arrow"}, {"filename": "a.arrow"}]}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def test_parquet_and_data_set_folders_are_read_as_lines_are(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "tokenizer", "qwen").parent
    lines = [{"messages": TALK}, {"messages": TALK[:3]}, {"messages": TALK[1:]}]
    expected = rows(built(folder, [line["messages"] for line in lines]) / "train.jsonl")
    table = pa.Table.from_pylist(lines)
    pq.write_table(table, folder / "train.parquet")
    (folder / "split").mkdir()
    pq.write_table(table, folder / "split" / "part.parquet")
    for name in ("train.parquet", str(saved(folder / "set", table)), "split"):
        own = spec(folder).model_copy(update={"train": str(folder / name)})
        build(own, folder / "again")
        assert rows(folder / "again" / "train.jsonl") == expected, name
    before = given.digest(folder / "split", folder)
    pq.write_table(table.slice(1), folder / "split" / "part.parquet")
    assert given.digest(folder / "split", folder) != before


def test_what_datasets_itself_saves_is_read(tmp_path: Path) -> None:
    import datasets

    folder = write_tokenizer(tmp_path / "tokenizer", "qwen").parent
    expected = rows(built(folder, [TALK, TALK[:3]]) / "train.jsonl")
    own = datasets.Dataset.from_list([{"messages": TALK}, {"messages": TALK[:3]}])
    datasets.DatasetDict({"train": own}).save_to_disk(folder / "dict")
    wanted = spec(folder).model_copy(update={"train": str(folder / "dict" / "train")})
    build(wanted, folder / "again")
    assert rows(folder / "again" / "train.jsonl") == expected
    wrong = spec(folder).model_copy(update={"train": str(folder / "dict")})
    with pytest.raises(ArkdError, match="name one of its splits: train"):
        build(wrong, folder / "again")


@pytest.mark.parametrize(
    ("talk", "said"),
    [
        ([{"role": "user", "content": "Who?"}], "no turn of the assistant's"),
        ([{"role": "user"}], "role and content are wanted"),
        ([], "a list of turns is wanted"),
        ([TALK[1], {"role": "assistant", "content": " "}], "turn 2: an answer must not be empty"),
        ([TALK[1], {"role": "assistant", "content": "\ufdd0"}], "no characters"),
    ],
)
def test_a_conversation_that_cannot_be_learnt_is_named(
    talk: list[dict[str, str]], said: str, tmp_path: Path
) -> None:
    write_tokenizer(tmp_path / "tokenizer", "qwen")
    with pytest.raises(ArkdError, match=re.escape(said)) as refused:
        built(tmp_path, [TALK, talk])
    assert "train.jsonl:2" in str(refused.value)


def test_without_a_template_or_with_another_end_the_remedy_is_said(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer", "qwen", end="<|endoftext|>")
    with pytest.raises(ArkdError, match="set eos_token in its tokenizer_config"):
        built(tmp_path, [TALK])
    with pytest.raises(ArkdError, match=r"set data\.chat_template"):
        built(tmp_path, [TALK], chat_template=None)


def test_a_token_that_the_pair_has_not_is_named(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer", "qwen")
    other = load_tokenizer(write_tokenizer(tmp_path / "other", "llama"))
    data = built(tmp_path, [TALK])
    with pytest.raises(ArkdError, match=r"the token <\|im_start\|>"):
        encode(other, rows(data / "train.jsonl"), max_tokens=1000)
