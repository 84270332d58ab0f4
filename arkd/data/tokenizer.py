"""Text as token ids and back, by one rule at every entrance: training, caches, samples, lm-eval.

- A tokenizer is what its `tokenizer.json` says, whatever class its folder names.
- A text is text: the name of a special token inside it is spelt out and never becomes the token.
  Only a name that a chat template wrote, between two marks that no text has, is the token.
- A prompt opens with what the tokenizer's own template puts before a text: `<s>` where the family
  was trained with it, nothing where it was not. What the template puts behind is left out.
- A response ends with the tokenizer's end token. A sample ends at any end token of the pair.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from arkd.data.marks import MARKED, MARKS
from arkd.errors import ArkdError
from arkd.storage.files import read_json

PAD, EOS = "<pad>", "<eos>"
ENDS = "end_tokens"  # in tokenizer_config.json, where a pair has more than one
RULES = "tokenizer.json"


def train_tokenizer(texts: Iterable[str], vocabulary: int, out_dir: Path) -> None:
    """Train a byte-level BPE on texts and save it as a Hugging Face tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, padding_side="left"
    ).save_pretrained(out_dir)


def load_tokenizer(folder: Path) -> Any:
    """Return a saved tokenizer; it pads on the left, as generation needs.

    The class that a folder names, or that its model's family has, may cut a text otherwise than its
    `tokenizer.json`, so that file alone decides. Only a folder without it is read by its class.

    Raises:
        ArkdError: the folder has no tokenizer that can be read, or one in Python alone.
    """
    from transformers import AutoTokenizer

    reader: Any = PreTrainedTokenizerFast if (folder / RULES).is_file() else AutoTokenizer
    try:
        tokenizer = reader.from_pretrained(
            folder, padding_side="left", trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # of whatever kind: the libraries check little of what they read
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ArkdError(f"{folder}: no tokenizer that can be read: {reason}") from error
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise ArkdError(
            f"{folder}: its tokenizer is {type(tokenizer).__name__}, in Python alone; save it with "
            f"a {RULES}"
        )
    tokenizer.clean_up_tokenization_spaces = False  # ' .' is what was written, not '.'
    return tokenizer


def text_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Return each text's ids and nothing else; Transformers' own call takes twice as long.

    Raises:
        ArkdError: a text has a marked token that the tokenizer has not.
    """
    plain = _plain(tokenizer)
    if any(MARKS[0] in text for text in texts):
        return [_marked_ids(plain, text) for text in texts]
    found = plain.encode_batch_fast(texts, add_special_tokens=False)
    return [text.ids for text in found]


def _marked_ids(plain: Any, text: str) -> list[int]:
    """Return the ids of a text, piece by piece between its marked tokens."""
    ids: list[int] = []
    for place, piece in enumerate(MARKED.split(text)):
        if place % 2 == 0:
            ids += plain.encode(piece, add_special_tokens=False).ids if piece else []
        elif (token := plain.token_to_id(piece)) is None:
            raise ArkdError(
                f"a chat template wrote the token {piece}, which the pair's tokenizer has not; set "
                "data.chat_template to the folder of the pair's own models"
            )
        else:
            ids.append(token)
    return ids


def prompt_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Return each prompt's ids, opened as the tokenizer's template has it."""
    before = opening(tokenizer)
    return [[*before, *found] for found in text_ids(tokenizer, texts)]


def opening(tokenizer: Any) -> list[int]:
    """Return the tokens that the tokenizer's template puts before a text."""
    found = _plain(tokenizer).encode("a")
    marked = zip(found.ids, found.special_tokens_mask, strict=True)
    return [token for token, _ in takewhile(lambda pair: pair[1], marked)]


def _plain(tokenizer: Any) -> Any:
    """Return the library's tokenizer, which neither pads nor cuts nor sees tokens in a text."""
    plain = tokenizer.backend_tokenizer
    plain.no_padding()
    plain.no_truncation()
    plain.encode_special_tokens = True
    return plain


def end_ids(tokenizer: Any) -> list[int]:
    """Return all tokens that end a sample; the tokenizer's own, which ends a response, is first."""
    names = tokenizer.init_kwargs.get(ENDS) or [tokenizer.eos_token]
    found: list[int] = tokenizer.convert_tokens_to_ids(names)
    return found


def keep_ends(tokenizer: Any, folders: Iterable[Path]) -> None:
    """Note in a tokenizer all end tokens that it and its models' configurations name.

    An id that is no added token of the tokenizer is no end token: configurations are often written
    with the default of their class.

    Args:
        tokenizer: The pair's; it has an end token.
        folders: The pair's models.
    """
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder()
    ends: list[Any] = end_ids(tokenizer)
    for folder in folders:
        for name in ("config.json", "generation_config.json"):
            found = read_json(folder / name) if (folder / name).is_file() else {}
            for part in (found, found.get("text_config")):
                ids = part.get("eos_token_id") if isinstance(part, dict) else None
                ends += ids if isinstance(ids, list) else [ids]
    numbers = [token for token in ends if isinstance(token, int)]
    ends = [token for token in dict.fromkeys(numbers) if token in added]
    if len(ends) > 1:
        tokenizer.init_kwargs[ENDS] = tokenizer.convert_ids_to_tokens(ends)


def until_end(tokens: list[int], ends: Collection[int]) -> list[int]:
    """Return a sample up to and with its first end token."""
    length = next((place + 1 for place, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[:length]
