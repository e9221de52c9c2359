"""The simulator's vocabulary, and the endless text it speaks.

Ids 0 to 255 are the bytes, then come all one- and two-letter syllables with and without a leading space, then three
control tokens: about two characters per token for English, no word list, and characters outside of ASCII are spread
over several tokens, as in real byte-level vocabularies. The text is a fixed *tape* of syllables; a request reads it
from a place that its seed chooses, which costs one list index per token.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from itertools import product
from string import ascii_lowercase
from typing import Any, NamedTuple

from services.inference.engine import Delta

TAPE_LENGTH = 1 << 14
_TAPE_SEED = 20_241_122
_PIECE = re.compile(rb" ?[a-z]{1,2}|<\|turn\|>|<\|end\|>|<\|begin\|>|.", re.DOTALL)
NO_THOUGHT = "<think>\n\n</think>\n\n"
_RARE = ("é", "ß", "—", "漢", "字", "🙂", "👩‍🚀")


class SimTokenizer:
    """Bytes and syllables; see the module's text."""

    def __init__(self) -> None:
        letters = [letter.encode() for letter in ascii_lowercase]
        pairs = [a + b for a, b in product(letters, repeat=2)]
        controls = [b"<|turn|>", b"<|end|>", b"<|begin|>"]
        self._tokens = [bytes([byte]) for byte in range(256)]
        self._tokens += [b" " + letter for letter in letters] + pairs + [b" " + pair for pair in pairs] + controls
        self._ids = {token: token_id for token_id, token in enumerate(self._tokens)}
        self.end_id = self._ids[b"<|end|>"]
        self._controls = frozenset(token.decode() for token in controls)

    @property
    def vocabulary_size(self) -> int:
        """See `Tokenizer`."""
        return len(self._tokens)

    @property
    def control_texts(self) -> frozenset[str]:
        """See `Tokenizer`."""
        return self._controls

    @property
    def has_chat_template(self) -> bool:
        """See `Tokenizer`."""
        return True

    @property
    def keeps_characters(self) -> bool:
        """See `Tokenizer`."""
        return True

    def encode(self, text: str, *, framed: bool) -> list[int]:
        """See `Tokenizer`."""
        ids = [self._ids[piece] for piece in _PIECE.findall(text.encode("utf-8", "surrogatepass"))]
        return [self._ids[b"<|begin|>"], *ids] if framed else ids

    def token_bytes(self, token_id: int) -> bytes:
        """See `Tokenizer`."""
        return self._tokens[token_id] if 0 <= token_id < len(self._tokens) else b""

    def decode(self, token_ids: Sequence[int]) -> str:
        """See `Tokenizer`."""
        return b"".join(map(self.token_bytes, token_ids)).decode("utf-8", "replace")

    def render_chat(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], **options: Any
    ) -> str:
        """See `Tokenizer`."""
        turns = [f"<|turn|>tools {json.dumps(tool, ensure_ascii=False)}" for tool in tools]
        turns += [f"<|turn|>{message['role']} {message.get('content') or ''}" for message in messages]
        answer = "<|turn|>assistant "
        if options.get("enable_thinking") is False:  # as templates of thinking models do
            answer += NO_THOUGHT
        return "\n".join([*turns, answer])


class TapeToken(NamedTuple):
    """One token of the tape, with the delta it makes for a lone choice: built once, pushed many times."""

    token_id: int
    text: str
    """Empty for the first bytes of a character, the whole character for its last."""
    delta: Delta
    starts: bool
    """Whether a text can start here: not inside a character."""


def make_tape(tokenizer: SimTokenizer, length: int = TAPE_LENGTH) -> list[TapeToken]:
    """The text it speaks: sentences of syllables with a rare character here and there. Always the same."""
    randomness = random.Random(_TAPE_SEED)  # noqa: S311 - no secret
    tape: list[TapeToken] = []
    while len(tape) < length:
        for piece in _sentence(randomness):
            ids = tokenizer.encode(piece, framed=False)
            tape += _tokens_of(tokenizer, ids, piece)
    return tape


def _sentence(randomness: random.Random) -> list[str]:
    """About a dozen words, as pieces that a tokenizer must not split into characters' halves at the seams."""
    pieces: list[str] = []
    for _ in range(randomness.randint(6, 14)):
        pieces.append(" " + "".join(randomness.choices(ascii_lowercase, k=2)))
        pieces += ["".join(randomness.choices(ascii_lowercase, k=2)) for _ in range(randomness.randint(0, 2))]
        if randomness.random() < 0.04:
            pieces.append(randomness.choice(_RARE))
    return [*pieces, "."]


def _tokens_of(tokenizer: SimTokenizer, ids: list[int], piece: str) -> list[TapeToken]:
    if tokenizer.decode(ids[:1]) == piece:
        return [TapeToken(ids[0], piece, Delta(0, piece, 1), starts=True)]
    out: list[TapeToken] = []
    for character in piece:
        encoded = tokenizer.encode(character, framed=False)
        for place, token_id in enumerate(encoded):
            text = character if place == len(encoded) - 1 else ""
            out.append(TapeToken(token_id, text, Delta(0, text, 1), starts=place == 0))
    return out
