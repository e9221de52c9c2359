"""`capstan chat`: a conversation on the terminal, through the same door as every other client."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from tools.local.problem import Problem

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletionMessageParam

TIMEOUT_S = 120.0


class Conversation:
    """What was said so far with one model."""

    def __init__(self, client: OpenAI, model: str, system: str | None) -> None:
        self._client = client
        self._model = model
        self._messages: list[ChatCompletionMessageParam] = []
        if system:
            self._messages.append({"role": "system", "content": system})

    def ask(self, prompt: str) -> Iterator[str]:
        """Yield the answer in pieces as they come; a failed or broken-off exchange is forgotten.

        Raises:
            Problem: the API refused or did not answer.
        """
        import openai

        self._messages.append({"role": "user", "content": prompt})
        answer = ""
        try:
            with self._client.chat.completions.create(
                model=self._model, messages=self._messages, stream=True
            ) as stream:
                for chunk in stream:
                    for choice in chunk.choices:
                        answer += choice.delta.content or ""
                        yield choice.delta.content or ""
        except openai.APIConnectionError as error:
            raise Problem("Nobody answers at the API's address: start it with `capstan up`.") from error
        except openai.APIError as error:
            raise Problem(f"The API refused: {error.message}") from error
        finally:
            if answer:
                self._messages.append({"role": "assistant", "content": answer})
            else:
                self._messages.pop()


def connect(base_url: str, key: str) -> OpenAI:
    """A client for the local API, without the retries that would hide what happens."""
    from openai import OpenAI

    return OpenAI(base_url=base_url, api_key=key, timeout=TIMEOUT_S, max_retries=0)


def say(pieces: Iterator[str], output: TextIO) -> None:
    """Write an answer as it comes."""
    for piece in pieces:
        output.write(piece)
        output.flush()
    output.write("\n")
    output.flush()


def converse(conversation: Conversation, model: str) -> None:
    """Read, ask, answer, until the end of input; Ctrl-C breaks an answer off, Ctrl-D ends."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # line editing for input(), where Python has it

    sign = "> " if sys.stdin.isatty() else ""
    print(f"{model}. Ctrl-C breaks an answer off, Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            prompt = input(sign).strip()
        except (EOFError, KeyboardInterrupt):
            print(file=sys.stderr)
            return
        if not prompt:
            continue
        try:
            say(conversation.ask(prompt), sys.stdout)
        except KeyboardInterrupt:
            print("\n(broken off)", file=sys.stderr)
        except Problem as problem:
            print(problem, file=sys.stderr)
