"""What one simulated choice says, token by token: the tape, bent by biases, cut by stop texts and by lengths.

Two paths. The plain one hands out the tape's ready-made deltas. A request with a stop text, biases, log probabilities
or more than one choice takes the other, which builds each delta.
"""

from __future__ import annotations

import codecs
import random
import zlib
from collections.abc import Sequence

from services.inference.engine import NOT_KNOWN, Delta, FinishReason, LogprobEntry, TokenLogprobs
from services.inference.request import GenerationRequest, Sampling
from services.inference.sim_vocabulary import SimTokenizer, TapeToken

EXCLUSIVE_BIAS = 100.0
BANNING_BIAS = -100.0


def seed_of(request: GenerationRequest, choice: int) -> int:
    """What decides a choice's text: prompt and adapter, and, when sampling, the seed or else the request's id."""
    sampling = request.sampling
    drawn = (
        ""
        if sampling.temperature == 0
        else f"{request.request_id if sampling.seed is None else sampling.seed}/{choice}"
    )
    asked = request.prompt[: len(request.prompt) - request.continued]
    prompt = b"".join(token.to_bytes(4, "little") for token in asked[-256:])
    return zlib.crc32(f"{request.adapter}/{drawn}".encode(), zlib.crc32(prompt))


class StopTexts:
    """Holds back what could be the beginning of a stop text, and cuts at the first whole one."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = stop
        self._hold = max(len(text) for text in stop) - 1
        self._pending = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """What can be told now, and whether a stop text was met."""
        self._pending += text
        places = [place for stop in self._stop if (place := self._pending.find(stop)) >= 0]
        if places:
            return self._pending[: min(places)], True
        told = self._pending[: len(self._pending) - self._hold] if self._hold else self._pending
        self._pending = self._pending[len(told) :]
        return told, False

    def rest(self) -> str:
        """What was held back and turned out to be ordinary text."""
        return self._pending


class Speaker:
    """The text of one choice. `next` gives its next delta; the one with `finish` is the last."""

    def __init__(
        self,
        request: GenerationRequest,
        choice: int,
        limit: int,
        natural: int,
        tape: list[TapeToken],
        tokenizer: SimTokenizer,
        thought: Sequence[TapeToken] = (),
    ) -> None:
        """`limit`: tokens allowed. `natural`: tokens after which the model ends by itself. `thought`: said before."""
        self._sampling = request.sampling
        self._choice = choice
        self._tape = tape
        self._tokenizer = tokenizer
        self._limit = limit
        natural = max(natural + len(thought), request.sampling.min_tokens)
        self._natural = limit + 1 if request.sampling.ignore_eos else natural
        self._thought = thought
        self._place = self._start(seed_of(request, choice))
        self._tail = self._skip(request)
        """The rest of a token that was told in part elsewhere."""
        self._said = 0
        self._stop = StopTexts(request.sampling.stop) if request.sampling.stop else None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._plain = choice == 0 and self._stop is None and not self._tail and not _is_bent(request.sampling)

    def _start(self, seed: int) -> int:
        place = seed % len(self._tape)
        while not self._tape[place].starts:
            place += 1
        return place

    def _skip(self, request: GenerationRequest) -> str:
        """Pass over what was said elsewhere."""
        said = len(self._tokenizer.decode(request.prompt[len(request.prompt) - request.continued :]))
        text = ""
        while said > 0:
            text = self._tape[self._place].text
            said -= len(text)
            self._place = (self._place + 1) % len(self._tape)
        return text[said:] if said < 0 else ""

    @property
    def said(self) -> int:
        """Tokens so far."""
        return self._said

    def next(self) -> Delta:
        """The next token."""
        if self._said < len(self._thought):
            token = self._thought[self._said]
        else:
            token = self._tape[self._place]
            self._place = (self._place + 1) % len(self._tape)
        self._said += 1
        if self._plain and self._said < self._limit and self._said <= self._natural:
            return token.delta
        return self._bent(token)

    def _bent(self, token: TapeToken) -> Delta:
        token_id, text = (self._tokenizer.end_id, "") if self._said > self._natural else self._biased(token)
        ended = token_id == self._tokenizer.end_id and not self._sampling.ignore_eos
        finish = FinishReason.STOP if ended else FinishReason.LENGTH if self._said >= self._limit else None
        text, self._tail = self._tail + text, ""
        if self._stop is not None and self._said > self._sampling.min_tokens:
            text, met = self._stop.feed(text)
            if met:
                finish = FinishReason.STOP
            elif finish is not None:
                text += self._stop.rest()
        return Delta(self._choice, text, 1, finish, self._logprobs(token_id))

    def _biased(self, token: TapeToken) -> tuple[int, str]:
        bias = self._sampling.logit_bias
        if not bias:
            return token.token_id, token.text
        exclusive = [candidate for candidate, value in bias.items() if value >= EXCLUSIVE_BIAS]
        token_id = exclusive[self._said % len(exclusive)] if exclusive else token.token_id
        while bias.get(token_id, 0.0) <= BANNING_BIAS:
            token_id = (token_id + 1) % self._tokenizer.vocabulary_size
        ended = token_id == self._tokenizer.end_id and not self._sampling.ignore_eos
        return token_id, "" if ended else self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def _logprobs(self, token_id: int) -> list[TokenLogprobs] | None:
        count = self._sampling.top_logprobs
        return None if count is None else [token_logprobs(self._tokenizer, token_id, count)]


def token_logprobs(tokenizer: SimTokenizer, token_id: int, count: int) -> TokenLogprobs:
    """An invented probability that depends on the token alone, and `count` less likely neighbours."""
    logprob = -0.05 - (token_id % 64) / 100
    size = tokenizer.vocabulary_size
    top = [LogprobEntry(tokenizer.token_bytes((token_id + i) % size), logprob - i) for i in range(count)]
    return TokenLogprobs(LogprobEntry(tokenizer.token_bytes(token_id), logprob), tuple(top))


def prompt_logprobs(tokenizer: SimTokenizer, prompt: Sequence[int], count: int) -> list[TokenLogprobs]:
    """The same for a prompt, whose first token has none."""
    first = TokenLogprobs(LogprobEntry(tokenizer.token_bytes(prompt[0]), NOT_KNOWN))
    return [first, *(token_logprobs(tokenizer, token_id, count) for token_id in prompt[1:])]


def natural_length(seed: int, mean: int) -> int:
    """Tokens after which a choice ends by itself: uniform from 1 to 2 · mean - 1."""
    return random.Random(seed).randrange(1, 2 * mean) if mean > 1 else 1  # noqa: S311 - no secret


def _is_bent(sampling: Sampling) -> bool:
    return bool(sampling.logit_bias) or sampling.top_logprobs is not None or sampling.prompt_logprobs is not None
