"""The simulator's thoughts: what stands before an answer of a model that thinks out loud.

As with real models, a client who wants no thinking (`reasoning_effort: none`) has the prompt end with a thought that is
closed already, and then none is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from services.inference.engine import Delta
from services.inference.sim_vocabulary import NO_THOUGHT, SimTokenizer, TapeToken

OPENING, CLOSING = "<think>\n", "\n</think>\n\n"


def thought(prompt: Sequence[int], length: int, tape: list[TapeToken], tokenizer: SimTokenizer) -> list[TapeToken]:
    """A thought of at least `length` tokens between its tags; empty when `length` is 0 or the prompt wants none."""
    closed = tokenizer.encode(NO_THOUGHT, framed=False)
    if length == 0 or list(prompt[-len(closed) :]) == closed:
        return []
    words: list[TapeToken] = []
    for token in cycle(tape):
        if len(words) >= length and token.starts:  # no character is cut in two
            break
        words.append(token)
    return [*_spelled(OPENING, tokenizer), *words, *_spelled(CLOSING, tokenizer)]


def _spelled(text: str, tokenizer: SimTokenizer) -> list[TapeToken]:
    """ASCII, token by token."""
    out = []
    for token_id in tokenizer.encode(text, framed=False):
        piece = tokenizer.decode([token_id])
        out.append(TapeToken(token_id, piece, Delta(0, piece, 1), starts=True))
    return out
