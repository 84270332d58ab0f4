"""Conversations as prompts and answers, through a tokenizer's own chat template.

A conversation is `messages`: turns with `role` and `content`. Each turn of the assistant is an
answer to all that stands before it, so that a conversation of several turns becomes as many rows,
and a loss on answers is a loss on the assistant's turns. What the model reads before an answer is
what it reads when it is asked: all that was said so far, and the template's generation prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arkd.data.marks import mark
from arkd.errors import ArkdError
from arkd.time_limit import Late, within

Message = dict[str, Any]
ASSISTANT = "assistant"
SHAREGPT = {"human": "user", "user": "user", "gpt": ASSISTANT, "chatgpt": ASSISTANT}
SHAREGPT |= {ASSISTANT: ASSISTANT, "system": "system", "tool": "tool"}
LIMIT_S = 20.0  # of writing one conversation; a template is a program
FILLER = "\ue000"  # a letter that no template knows, in the place of what is no markup


class Chat:
    """A tokenizer's chat template.

    Args:
        folder: The tokenizer's, which has the template.
        options: What is passed to the template, such as `enable_thinking`.

    Raises:
        ArkdError: the tokenizer cannot be read, or has no template or no end token.
    """

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        from arkd.data.tokenizer import load_tokenizer, opening  # loads Transformers

        self.folder, self.options = folder, options
        self.tokenizer = load_tokenizer(folder)
        if not self.tokenizer.chat_template:
            raise ArkdError(f"{folder}: its tokenizer has no chat template; name one that has")
        if self.tokenizer.eos_token is None:
            raise ArkdError(f"{folder}: its tokenizer has no end token; set eos_token")
        special = {
            token.content
            for token in self.tokenizer.added_tokens_decoder.values()
            if token.special and token.content
        }
        longest_first = sorted(special, key=len, reverse=True)
        self.special = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self.opening = "".join(
            mark(name) for name in self.tokenizer.convert_ids_to_tokens(opening(self.tokenizer))
        )

    def rows(self, messages: list[Message], place: str) -> Iterator[tuple[str, str]]:
        """Yield prompt and answer of each of the assistant's turns.

        Args:
            messages: The conversation.
            place: What an error begins with.

        Raises:
            ArkdError: the template refuses it, or puts something else behind an answer than an end
                token.
        """
        for number, message in enumerate(messages):
            if message["role"] == ASSISTANT:
                before, whole = self.prompt(messages[:number], place), messages[: number + 1]
                text = self._render(whole, place, generation=False)
                if not text.startswith(before):
                    raise ArkdError(
                        f"{place}: turn {number + 1}: the template writes a finished turn "
                        "otherwise than it asks for one; set data.chat_options (such as "
                        "enable_thinking: false), or name another template"
                    )
                yield self._opened(before, place), self._answer(text[len(before) :], place, number)

    def question(self, messages: list[Message], place: str) -> str:
        """Return the prompt of a conversation that waits for an answer.

        Args:
            messages: The conversation.
            place: What an error begins with.
        """
        return self._opened(self.prompt(messages, place), place)

    def prompt(self, messages: list[Message], place: str) -> str:
        """Return what is read before an answer to a conversation, special tokens marked."""
        return self._render(messages, place, generation=True)

    def _answer(self, text: str, place: str, number: int) -> str:
        """Return an answer without its end token, which whoever encodes it adds."""
        answer, end, behind = text.partition(mark(self.tokenizer.eos_token))
        if not end or behind.strip() or self.special.search(answer):
            raise ArkdError(
                f"{place}: turn {number + 1}: the template of {self.folder} does not end an answer "
                f"with the tokenizer's end token {self.tokenizer.eos_token}; set eos_token in its "
                "tokenizer_config.json to the one that ends a turn"
            )
        if not answer.strip():
            raise ArkdError(f"{place}: turn {number + 1}: an answer must not be empty")
        return answer

    def _opened(self, text: str, place: str) -> str:
        """Return a prompt without what the tokenizer itself puts before every text."""
        if not text.startswith(self.opening):
            raise ArkdError(
                f"{place}: the tokenizer of {self.folder} opens every text with a token which its "
                "chat template leaves out; correct one of the two"
            )
        return text.removeprefix(self.opening)

    def _render(self, messages: list[Message], place: str, *, generation: bool) -> str:
        """Return a conversation as the template writes it, its special tokens marked.

        The name of a special token inside a message is no markup: it is found by rendering the
        conversation once more with letters in the place of such names.
        """
        texts = []
        for masked in (False, True):
            turns = [self._masked(message) if masked else message for message in messages]
            try:
                with within(LIMIT_S):
                    text = self.tokenizer.apply_chat_template(
                        turns, tokenize=False, add_generation_prompt=generation, **self.options
                    )
                texts.append(text)
            except Late:
                raise ArkdError(
                    f"{place}: the chat template was not done after {LIMIT_S:g} s; it loops"
                ) from None
            except Exception as error:  # of whatever kind: a template is a program
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                raise ArkdError(f"{place}: the chat template refuses it: {reason}") from error
        text, masked_text = texts
        if len(text) != len(masked_text):
            raise ArkdError(
                f"{place}: a message holds the name of a special token, and the template changes "
                "with it; leave the row out"
            )
        parts, end = [], 0
        for found in self.special.finditer(masked_text):
            parts += [text[end : found.start()], mark(found[0])]
            end = found.end()
        return "".join([*parts, text[end:]])

    def _masked(self, message: Message) -> Message:
        """Return a message in which names of special tokens are letters of the same number."""
        return {
            key: self.special.sub(lambda name: FILLER * len(name[0]), value)
            if isinstance(value, str) and key != "role"
            else value
            for key, value in message.items()
        }


def messages_of(line: dict[str, Any], place: str) -> list[Message] | None:
    """Return the conversation of a line: `messages`, or ShareGPT's `conversations`; none: None.

    Args:
        line: A line of a user's file.
        place: What an error begins with.

    Raises:
        ArkdError: it is not a list of turns with a role and a text.
    """
    if "messages" in line:
        key, turns, names = "messages", line["messages"], ("role", "content")
    elif "conversations" in line:
        key, turns, names = "conversations", line["conversations"], ("from", "value")
        first = turns[0] if isinstance(turns, list) and turns else None
        if isinstance(first, dict) and "role" in first:
            names = ("role", "content")
    else:
        return None
    if not isinstance(turns, list) or not turns or not all(isinstance(t, dict) for t in turns):
        raise ArkdError(f"{place}: {key}: a list of turns is wanted, not {turns!r:.40}")
    found = []
    for number, turn in enumerate(turns, start=1):
        role, text = (turn.get(name) for name in names)
        if not isinstance(role, str) or not isinstance(text, str):
            raise ArkdError(
                f"{place}: {key}: turn {number}: {names[0]} and {names[1]} are wanted, as texts"
            )
        if key == "conversations":
            if role not in SHAREGPT:
                raise ArkdError(f"{place}: {key}: turn {number}: unknown speaker '{role:.40}'")
            role = SHAREGPT[role]
        found.append({**turn, "role": role, "content": text})
    return found
