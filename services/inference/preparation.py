"""From what was asked to what the engine is asked: the prompt as tokens, the answer's shape, and how to read it.

Tokenizing a long prompt takes a while, so all of it can run in another thread: it touches nothing but its arguments.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from services.inference.answer import Reading
from services.inference.answer_format import constraint_of
from services.inference.errors import InvalidRequestError
from services.inference.prompts import Bound, Conversation, Prompt, Prompts
from services.inference.reasoning import ReasoningForm
from services.inference.request import GenerationRequest, Sampling
from services.inference.tokenizer import Tokenizer
from services.inference.tool_call_forms import FORMS, CallForm
from services.inference.wire import Asked

MAX_ECHOED = 500_000
"""Tokens and log probabilities of a prompt that one request may ask back, over all its choices: about 15 MB."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request, ready for the engine."""

    request: GenerationRequest
    reading: Reading


class Preparation:
    """Prepares requests for one model."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        salt_key: bytes,
        reasoning: ReasoningForm | None = None,
        calls: CallForm | None = FORMS["hermes"],
        max_model_tokens: int | None = None,
    ) -> None:
        """`salt_key`: secret; who knew it could probe others' prompts.

        `reasoning`: how the model marks its thoughts; None: it does not. `calls`: how it writes calls; None: it cannot.
        `max_model_tokens`: the context; what cannot fit is refused before it is tokenized. None: it is not known.
        """
        self._tokenizer = tokenizer
        bound = None if max_model_tokens is None else Bound.of(tokenizer, max_model_tokens)
        self._prompts = Prompts(tokenizer, bound, reasoning)
        self._salt_key = salt_key
        self._reasoning = reasoning
        self._calls = calls

    def prepare(self, asked: Asked) -> Prepared:
        """Do it. Raises InvalidRequestError, NoChatTemplateError, TemplateRefusedError."""
        wanted = asked.wanted
        if isinstance(asked.prompt, Conversation):
            if self._calls is None and asked.prompt.callable:
                raise InvalidRequestError("this model calls no functions", param="tools")
            prompt = self._prompts.chat(asked.prompt)
            reading = self._reading(asked.prompt, prompt)
            if self._calls is not None:
                wanted = constraint_of(wanted, asked.prompt, self._calls)
        else:
            prompt = self._plain(asked.prompt)
            reading = Reading(echo=self._echo(asked, prompt) if asked.echo else None)
        said = self._prompts.said(asked.said) if asked.said else []
        request = GenerationRequest(
            request_id=asked.request_id,
            prompt=[*prompt.token_ids, *said] if said else prompt.token_ids,
            sampling=_rest(asked.sampling, len(said)),
            constraint=wanted,
            adapter=asked.adapter.name if asked.adapter is not None else "",
            priority=asked.priority,
            cache_salt=self._salt(asked.organization_id),
            continued=len(said),
            control_tokens=self._marked(reading),
        )
        return Prepared(request, reading)

    def text_tokens(self, text: str) -> list[int]:
        """Token ids of a text to embed."""
        return self._prompts.text(text).token_ids

    def chat_tokens(self, conversation: Conversation) -> int:
        """Length of a conversation's prompt. Raises NoChatTemplateError, TemplateRefusedError."""
        return len(self._prompts.chat(conversation).token_ids)

    def _plain(self, prompt: str | Sequence[int]) -> Prompt:
        return self._prompts.text(prompt) if isinstance(prompt, str) else Prompt(list(prompt))

    def _echo(self, asked: Asked, prompt: Prompt) -> str:
        """The prompt's text. It is told once per choice, so a short request can ask for a lot."""
        sampling = asked.sampling
        entries = len(prompt.token_ids) * (1 if sampling.top_logprobs is None else 2 + sampling.top_logprobs)
        if entries * sampling.choices > MAX_ECHOED:
            raise InvalidRequestError("that much of the prompt cannot be echoed", param="echo")
        return asked.prompt if isinstance(asked.prompt, str) else self._tokenizer.decode(prompt.token_ids)

    def _reading(self, conversation: Conversation, prompt: Prompt) -> Reading:
        finder = None
        if self._calls is not None and (functions := conversation.callable):
            names = frozenset(function.name for function in functions)
            finder = partial(self._calls.finder, names, limit=None if conversation.parallel else 1)
        return Reading(
            reasoning=self._reasoning,
            thinking=prompt.thinking,
            finder=finder,
            named=conversation.choice == "named",
        )

    def _marked(self, reading: Reading) -> bool:
        """Whether control tokens say something that the text is read for."""
        calls = self._calls is not None and reading.finder is not None and self._calls.control_tokens
        return calls or (reading.reasoning is not None and reading.reasoning.control_tokens)

    def _salt(self, organization_id: str) -> str:
        """What keeps organizations apart in the prefix cache, and cannot be guessed."""
        digest = hmac.digest(self._salt_key, organization_id.encode(), hashlib.sha256)
        return base64.b64encode(digest).decode()


def _rest(sampling: Sampling, said: int) -> Sampling:
    """What is left to choose when so many tokens have been chosen elsewhere."""
    if not said:
        return sampling
    left = None if sampling.max_tokens is None else max(0, sampling.max_tokens - said)
    return replace(sampling, max_tokens=left, min_tokens=max(0, sampling.min_tokens - said))
