"""A user's own files as a suite's data: training, tests and, if wanted, plain text.

A row is a line of JSON, or a row of Parquet or of a Hugging Face data set. What it may hold:

| key | in | meaning |
|---|---|---|
| `prompt` | all | what is asked, as the model reads it |
| `instruction`, `input`, `context` | all | in place of `prompt`, by the suite's template |
| `messages` | all | a conversation: turns with `role` and `content`, in place of all of these |
| `conversations` | all | the same as ShareGPT has it, turns with `from` and `value` |
| `response` or `output` | all | the gold answer; a test may lack it |
| `references` | tests | a list of right answers; without it the response is the only one |
| `band` | all | `head`, `torso` or `tail`: how popular that is which is asked about |
| `kind` | all | any word for the kind of question |

Other keys are passed over, but for those by which others name more of what is asked or answered
(`UNREAD`): they are refused, unless `data.ignore` lists them. Texts stand as they are given, white
space and all: a tokenizer that glues a space to the word behind it wants answers that begin with
one, which `separator` adds.
A test without any answer has no ROUGE-L and no gold prefixes; its samples are described still.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from arkd.data.bands import BANDS
from arkd.data.files import tables
from arkd.data.files.chat import ASSISTANT, Chat, messages_of
from arkd.data.files.hub_split import HubSplit
from arkd.data.files.spec import FilesSpec
from arkd.data.instructions.prompts import prompt
from arkd.data.marks import MARKS
from arkd.data.source import DataSource, PlannedRows, Row, write_task
from arkd.errors import ArkdError, nearest
from arkd.seeding import derive_seed
from arkd.storage.files import sha256_file, write_jsonl
from arkd.storage.manifest import digest_of

ASSUMED = 10_000  # rows that `arkd plan` takes a split of the hub's to have
TEXTS = ("prompt", "instruction", "input", "context", "response", "output", "band", "kind")
KEYS = (*TEXTS, "references", "messages", "conversations")
GIVEN = ("input", "context")  # what an instruction is applied to; Dolly has the latter
# What other projects' rows hold beside these, and would be lost without a word.
UNREAD = ("system", "history", "instances")
Numbered = list[tuple[int, Row]]  # rows by the line of the file; a conversation's are of one line


def build(spec: FilesSpec, out_dir: Path) -> Row:
    """Write all data files and the tests' lm-eval tasks, and return a summary for the manifest.

    Args:
        spec: Which files, placed, and how they are read.
        out_dir: The data folder.

    Raises:
        ArkdError: a file is missing, empty or malformed, or too small to split.
    """
    paths = {r: [path] for r, path in spec.paths.items()}
    paths |= {role: split.fetch() for role, split in spec.splits.items()}
    chat = Chat(Path(spec.chat_template), spec.chat_options) if spec.chat_template else None
    roles = [role for role in spec.roles if role != "corpus"]
    numbered = {role: _rows(spec, role, paths[role], chat) for role in roles}
    if "dev" not in numbered:
        numbered = _split(spec, paths["train"][0], numbered.pop("train")) | numbered
    files = {role: [row for _, row in rows] for role, rows in numbered.items()}
    first = next(iter(spec.tests))
    if not any(row["response"] for row in files[f"test_{first}"]):
        raise ArkdError(
            f"{paths[f'test_{first}'][0]}: no row has an answer; the first of data.tests is the "
            "test in distribution and needs some: list another first, or give responses"
        )
    written = {
        role: [{"id": i, **row} for i, row in enumerate(rows)] for role, rows in files.items()
    }
    sources: Row = {role: {"sha256": _sha256(path)} for role, path in spec.paths.items()}
    for role, split in spec.splits.items():
        hashes = {_in_repo(path, split): sha256_file(path) for path in paths[role]}
        sources[role] = split.facts | {"sha256": hashes}
    if spec.corpus:
        written["corpus"] = spec.corpus.documents(sources)
        sources["corpus"].pop("path", None)  # it is in the suite, as the user wrote it
    for role, rows in written.items():
        write_jsonl(out_dir / f"{role}.jsonl", rows)
    for name in spec.tests:
        write_task(out_dir, name)
    summary = _summary(files) | {"sources": sources}
    summary["rows"] = {role: len(rows) for role, rows in written.items()}
    for warning in summary["warnings"]:
        print(f"arkd: {warning}", file=sys.stderr, flush=True)
    return summary


def planned_rows(spec: FilesSpec, test_sets: Sequence[str]) -> PlannedRows:
    """Count the lines of the files that are there, and split development off as `build` does."""
    files = {role: tables.count(path) for role, path in spec.paths.items()}
    files |= dict.fromkeys(spec.splits, ASSUMED)
    notes = (f"{ASSUMED:,} rows are assumed of a split of the hub's",) if spec.splits else ()
    if spec.max_rows:
        files = {role: min(count, spec.max_rows) for role, count in files.items()}
    if "dev" not in files:
        files["dev"] = spec.dev_examples
        files["train"] -= spec.dev_examples
    return PlannedRows(files, notes)


def _sha256(path: Path) -> str:
    """Return the hash of a file, or of the files of a data set's folder."""
    if path.is_file():
        return sha256_file(path)
    return digest_of({part.name: sha256_file(part) for part in tables.parts(path)})


def _inputs(spec: FilesSpec) -> dict[str, Path]:
    """Return the files by the setting that names them."""
    found = {role.replace("test_", "tests.", 1): path for role, path in spec.paths.items()}
    if spec.chat_template:
        found["chat_template"] = Path(spec.chat_template)
    return found


def _licences(spec: FilesSpec) -> Row:
    """Return the licence of each file: the user knows his own, the hub's card that of a split."""
    splits = {f"data.{r.replace('test_', 'tests.', 1)}": s for r, s in spec.splits.items()}
    found = {f"data.{name}": "your own file" for name in _inputs(spec)}
    return found | {name: f"see the card of {split.repo}" for name, split in splits.items()}


def _split(spec: FilesSpec, path: Path, rows: Numbered) -> dict[str, Numbered]:
    """Deal training rows out to training and development; each keeps the order of the file.

    A conversation goes whole to one of them: the prompt of each turn holds the answers before it.
    What the last one drawn has beyond `dev_examples` is left out.
    """
    lines = list(dict.fromkeys(line for line, _ in rows))
    of_line = Counter(line for line, _ in rows)
    rng = random.Random(derive_seed("files", spec.data_seed, "dev"))
    chosen: set[int] = set()
    drawn = 0
    for place in rng.sample(range(len(lines)), min(spec.dev_examples, len(lines))):
        if drawn < spec.dev_examples:
            chosen.add(lines[place])
            drawn += of_line[lines[place]]
    split = {
        "train": [(line, row) for line, row in rows if line not in chosen],
        "dev": [(line, row) for line, row in rows if line in chosen][: spec.dev_examples],
    }
    if not split["train"] or len(split["dev"]) < spec.dev_examples:
        raise ArkdError(
            f"{path}: {len(rows)} rows, and data.dev_examples splits {spec.dev_examples} off, "
            "which leaves none to train on; lower it, or name a file in data.dev"
        )
    return split


def _in_repo(path: Path, split: HubSplit) -> str:
    """Return a fetched file's path in its repository, which the cache has below the commit."""
    return path.as_posix().partition(f"/snapshots/{split.revision}/")[2]


def _rows(spec: FilesSpec, role: str, paths: list[Path], chat: Chat | None) -> Numbered:
    """Return the rows of a file, or of a split's several, or a draw of them in their order."""
    is_test = role.startswith("test_")
    rows: Numbered = []
    for number, (place, line) in enumerate(found for path in paths for found in tables.rows(path)):
        _refuse_marks(place, line)
        _refuse_unread(spec, place, line)
        if (messages := messages_of(line, place)) is None:
            rows.append((number, _row(spec, place, line, is_test)))
        elif chat is None:
            raise ArkdError(
                f"{place}: a conversation, and no template to write it by; set data.chat_template "
                "to the folder of the models' tokenizer"
            )
        else:
            pairs = _asked(chat, messages, place, is_test)
            beside = {key: line[key] for key in ("references", "band", "kind") if key in line}
            rows += [(number, _row(spec, place, beside | pair, is_test)) for pair in pairs]
    if not rows:
        raise ArkdError(
            f"{paths[0]}: no rows; data.{role.replace('_', 's.', 1)} needs one at least"
        )
    if spec.max_rows is None or len(rows) <= spec.max_rows:
        return rows
    rng = random.Random(derive_seed("files", spec.data_seed, role))
    return [rows[place] for place in sorted(rng.sample(range(len(rows)), spec.max_rows))]


def _asked(chat: Chat, messages: list[Row], place: str, is_test: bool) -> list[Row]:
    """Return a conversation as prompts with answers: every turn of the assistant's, or the last.

    A test asks for the last turn alone; one whose last turn is not the assistant's has no answer.

    Raises:
        ArkdError: training rows have no turn of the assistant's.
    """
    ended = messages[-1]["role"] == ASSISTANT
    if is_test and not ended:
        return [{"prompt": chat.question(messages, place)}]
    found = [{"prompt": p, "response": answer} for p, answer in chat.rows(messages, place)]
    if not found:
        raise ArkdError(f"{place}: no turn of the assistant's, so nothing to learn; leave it out")
    return found[-1:] if is_test else found


def _refuse_marks(place: str, line: Row) -> None:
    """Refuse a text with a character that marks tokens here; Unicode has it for no text."""
    text = json.dumps(line, ensure_ascii=False, default=str)
    if any(mark in text for mark in MARKS):
        raise ArkdError(f"{place}: holds U+FDD0 or U+FDD1, which are no characters; remove them")


def _refuse_unread(spec: FilesSpec, place: str, line: Row) -> None:
    """Refuse a line of which something that is asked or answered would not be read.

    Raises:
        ArkdError: there is such a key, and `data.ignore` does not list it.
    """
    unread = [key for key in UNREAD if line.get(key)]
    if "messages" in line or "conversations" in line:  # whose last turn is the answer
        unread += [key for key in ("response", "output") if line.get(key)]
    if not line.get("instruction"):
        unread += [key for key in GIVEN if line.get(key)]
    for read, other in (GIVEN, ("response", "output")):
        if line.get(read) and line.get(other):
            unread.append(other)
    for key in unread:
        if key not in spec.ignore:
            raise ArkdError(
                f"{place}: {key}: would not be read; write it into the prompt or the answer, or "
                "list it in data.ignore"
            )


def _row(spec: FilesSpec, place: str, line: Row, is_test: bool) -> Row:
    """Return a line as the suite's files have it.

    Raises:
        ArkdError: a key is missing, empty or of the wrong type.
    """
    for key in TEXTS:
        if not isinstance(line.get(key, ""), str):
            raise ArkdError(f"{place}: {key}: text is wanted, not {line[key]!r:.40}")
    references = line.get("references", [])
    if not isinstance(references, list) or not all(isinstance(text, str) for text in references):
        raise ArkdError(f"{place}: references: a list of texts is wanted, not {references!r:.40}")
    if line.get("instruction", "").strip():
        given = next((line[key] for key in GIVEN if line.get(key)), "")
        question = prompt(spec.template, line["instruction"], given)
    else:
        question = _wanted(place, line, "prompt")
    if is_test and "response" not in line and "output" not in line:
        response = next(iter(references), "")
    else:
        both = line.get("response") and line.get("output")
        response = _wanted(place, line, "output" if "output" in line and not both else "response")
    if response and "references" not in line:
        references = [response]
    band = line.get("band", "none")
    if band not in (*BANDS, "none"):
        raise ArkdError(f"{place}: band: {', '.join(BANDS)} or none is wanted, not '{band}'")
    row: Row = {"prompt": question, "response": _apart(spec, response)}
    if is_test:
        row["references"] = [_apart(spec, text) for text in references if text.strip()]
    return row | {"band": band, "kind": line.get("kind", "none")}


def _wanted(place: str, line: Row, key: str) -> str:
    """Return a text that must be there."""
    text = line.get(key)
    if text is None:
        near = next((name for name in line if name not in KEYS and nearest(name, [key])), None)
        raise ArkdError(f"{place}: no '{key}'" + (f" (is '{near}' meant for it?)" if near else ""))
    if not text.strip():
        raise ArkdError(f"{place}: {key}: must not be empty")
    return str(text)


def _apart(spec: FilesSpec, answer: str) -> str:
    """Return an answer with the separator before it."""
    return answer if not answer or answer.startswith(spec.separator) else spec.separator + answer


def _summary(files: dict[str, list[Row]]) -> Row:
    """Count what may be worth knowing, and warn of what may spoil the numbers."""
    trained = {row["prompt"] for row in files["train"]}
    held_out = {role: rows for role, rows in files.items() if role != "train"}
    tests = {role: rows for role, rows in held_out.items() if role != "dev"}
    shared = {role: sum(r["prompt"] in trained for r in rows) for role, rows in held_out.items()}
    lacking = {role: sum(not r["references"] for r in rows) for role, rows in tests.items()}
    warnings = [
        f"data: {role}: {count:,} of {len(files[role]):,} prompts also stand in training"
        for role, count in shared.items()
        if count
    ] + [
        f"data: {role}: {count:,} of {len(files[role]):,} rows have no references, hence no ROUGE-L"
        for role, count in lacking.items()
        if count
    ]
    return {
        "bands": {role: Counter(row["band"] for row in rows) for role, rows in files.items()},
        "kinds": {role: Counter(row["kind"] for row in rows) for role, rows in files.items()},
        "rows_without_references": lacking,
        "prompts_shared_with_training": shared,
        "warnings": warnings,
    }


SOURCE = DataSource(
    spec=FilesSpec,
    build=build,
    planned_rows=planned_rows,
    placed=FilesSpec.placed,
    inputs=_inputs,
    licences=_licences,
    tests="tests",
)
