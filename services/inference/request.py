"""What an engine is asked to do: token ids, how to choose the next ones, and which shape the text must have.

`check` is the one place where values are judged before they reach an engine, whichever it is: engines validate late,
and more than one release of vLLM could be killed by a single odd request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.inference.errors import InvalidRequestError, PromptTooLongError

MAX_CHOICES = 128
MAX_STOP_TEXTS = 4
MAX_TOP_LOGPROBS = 20
MAX_SEED = 2**63


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """JSON that follows this schema (JSON text)."""

    schema: str


@dataclass(frozen=True, slots=True)
class JsonObject:
    """Any JSON object."""


@dataclass(frozen=True, slots=True)
class Regex:
    """Text that matches the pattern as a whole."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Exactly one of these texts."""

    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """Text that this EBNF grammar (root rule `root`) produces."""

    ebnf: str


@dataclass(frozen=True, slots=True)
class StructuralTag:
    """Free text with constrained parts, as XGrammar's structural tags describe them (JSON text)."""

    tag: str


Constraint = JsonSchema | JsonObject | Regex | Choice | Grammar | StructuralTag


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens; the defaults are OpenAI's."""

    max_tokens: int | None = None
    """Most tokens per choice, 0 or greater. None: to the context's end."""
    min_tokens: int = 0
    """Tokens before which neither the model's end nor a stop text ends a choice."""
    temperature: float = 1.0
    """0 to 2; 0 takes the likeliest token."""
    top_p: float = 1.0
    """0 to 1; 0 is as good as one candidate."""
    presence_penalty: float = 0.0
    """-2 to 2."""
    frequency_penalty: float = 0.0
    """-2 to 2."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Token id to bias, -100 (never) to 100 (only)."""
    seed: int | None = None
    """Makes sampling repeatable, as far as the engine's batching allows. None: random."""
    stop: tuple[str, ...] = ()
    """Up to four texts that end a choice and are left out of it."""
    choices: int = 1
    """How many answers, 1 to 128."""
    top_logprobs: int | None = None
    """Log probabilities of the chosen token and of this many likeliest ones, 0 to 20. None: none."""
    prompt_logprobs: int | None = None
    """The same for the prompt's tokens. None: none."""
    ignore_eos: bool = False
    """True: the model's own end is no end (load tests)."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One prompt to continue."""

    request_id: str
    """"req_…", unique among running requests: the handle for `abort`, and the key of logs."""
    prompt: Sequence[int]
    """Token ids, at least one."""
    sampling: Sampling = Sampling()
    constraint: Constraint | None = None
    adapter: str = ""
    """Name of a loaded adapter; empty: the base model."""
    priority: int = 0
    """Lower runs sooner; requests of one priority run in order of arrival."""
    cache_salt: str = ""
    """Prefix-cache entries are shared only under one salt, so it must be the tenant's and secret."""
    continued: int = 0
    """How many of the prompt's last tokens are the beginning of the answer. `sampling.max_tokens` is for the rest."""
    control_tokens: bool = False
    """True: control tokens are part of the text, because they mark calls or thoughts. The model's end never is."""

    def max_tokens(self, max_model_tokens: int) -> int:
        """Most tokens one choice can get in a context of `max_model_tokens`."""
        room = max_model_tokens - len(self.prompt)
        wanted = self.sampling.max_tokens
        return room if wanted is None else min(wanted, room)


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to turn into vectors, as token ids."""

    request_id: str
    inputs: Sequence[Sequence[int]]


def check(request: GenerationRequest, *, max_model_tokens: int, vocabulary_size: int) -> None:
    """Refuse what no engine should see.

    Raises InvalidRequestError (its `param` names the field), PromptTooLongError.
    """
    check_prompt(request.prompt, room=1, max_model_tokens=max_model_tokens, vocabulary_size=vocabulary_size)
    _check_sampling(request.sampling, vocabulary_size)


def check_prompt(prompt: Sequence[int], *, room: int, max_model_tokens: int, vocabulary_size: int) -> None:
    """Refuse a prompt that is empty, is foreign to the vocabulary, or leaves less than `room` tokens of context."""
    if not prompt:
        raise InvalidRequestError("the prompt is empty", param="prompt")
    if len(prompt) + room > max_model_tokens:
        raise PromptTooLongError(len(prompt), max_model_tokens)
    if min(prompt) < 0 or max(prompt) >= vocabulary_size:
        raise InvalidRequestError(f"token ids go from 0 to {vocabulary_size - 1}", param="prompt")


def _check_sampling(sampling: Sampling, vocabulary_size: int) -> None:
    _within("max_tokens", sampling.max_tokens, 0, math.inf)
    _within("min_tokens", sampling.min_tokens, 0, math.inf)
    _within("temperature", sampling.temperature, 0, 2)
    _within("top_p", sampling.top_p, 0, 1)
    _within("presence_penalty", sampling.presence_penalty, -2, 2)
    _within("frequency_penalty", sampling.frequency_penalty, -2, 2)
    _within("seed", sampling.seed, -MAX_SEED, MAX_SEED - 1)
    _within("n", sampling.choices, 1, MAX_CHOICES)
    _within("top_logprobs", sampling.top_logprobs, 0, MAX_TOP_LOGPROBS)
    _within("top_logprobs", sampling.prompt_logprobs, 0, MAX_TOP_LOGPROBS)
    if sampling.max_tokens is not None and sampling.min_tokens > sampling.max_tokens:
        raise InvalidRequestError("min_tokens is greater than max_tokens", param="min_tokens")
    if len(sampling.stop) > MAX_STOP_TEXTS or not all(sampling.stop):
        raise InvalidRequestError(f"stop takes up to {MAX_STOP_TEXTS} texts, none of them empty", param="stop")
    for token_id, bias in sampling.logit_bias.items():
        _within("logit_bias", bias, -100, 100)
        if not 0 <= token_id < vocabulary_size:
            raise InvalidRequestError(f"token ids go from 0 to {vocabulary_size - 1}", param="logit_bias")


def _within(param: str, value: float | None, low: float, high: float) -> None:
    """Refuse a value outside of low..high; NaN is outside of everything."""
    if value is not None and not low <= value <= high:
        raise InvalidRequestError(f"{param} goes from {low} to {high}", param=param)
