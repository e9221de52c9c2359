"""From text to the windows of tokens that the encoder reads.

The encoder averages over all tokens of its input, so one bad sentence drowns in a long text: in windows of 256 tokens
hardly any is found, sentence by sentence nine of ten (tools/moderation_head/README.md). A text is therefore read
sentence by sentence, each judged by itself, and the worst counts. Short sentences are joined, since many say little
alone; long ones, and text without punctuation, are cut into windows that overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

# Where a sentence or a line ends. One character each, so that no text takes more than linear time.
_BREAK: Final = re.compile(r"(?<=[.!?…])\s|(?<=[。！？])|[\n\r]")


@dataclass(frozen=True, slots=True)
class Windowing:
    """How a text is cut. All numbers are tokens of the text's own, without [CLS] and [SEP]."""

    longest: int = 48
    """A longer sentence is cut into windows of this length."""
    overlap: int = 16
    """How much such a window shares with the one before."""
    joined: int = 12
    """Neighbouring sentences are one window as long as they have together no more than this."""

    def __post_init__(self) -> None:
        if not (0 <= self.overlap < self.longest and 0 <= self.joined <= self.longest):
            raise ValueError(f"not a way to cut a text: {self}")

    def windows(self, sentences: Iterable[list[int]]) -> Iterator[list[int]]:
        """Yield the windows of a text that is given as the ids of each of its sentences; none is empty."""
        gathered: list[int] = []
        for sentence in sentences:
            for part in self._cut(sentence):
                if gathered and len(gathered) + len(part) > self.joined:
                    yield gathered
                    gathered = []
                gathered = gathered + part
        if gathered:
            yield gathered

    def _cut(self, ids: list[int]) -> Iterator[list[int]]:
        start = 0
        while start + self.longest < len(ids):
            yield ids[start : start + self.longest]
            start += self.longest - self.overlap
        yield ids[start:]


class WordPieces:
    """MiniLM's tokenizer (WordPiece; Wu et al., 2016), read from its `tokenizer.json`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a tokenizer with [CLS] and [SEP].
    """

    def __init__(self, path: Path, windowing: Windowing) -> None:
        text = path.read_text(encoding="utf-8")
        try:
            self._tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the bindings raise nothing narrower
            raise ValueError(f"{path} is not a tokenizer: {error}") from error
        # The file asks for exactly 128 tokens, cut or padded: a habit of sentence-transformers.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        first, last = self._tokenizer.token_to_id("[CLS]"), self._tokenizer.token_to_id("[SEP]")
        if first is None or last is None:
            raise ValueError(f"{path} has no [CLS] or no [SEP]")
        self._first, self._last = first, last
        self._windowing = windowing

    def windows(self, text: str) -> list[list[int]]:
        """Answer the token ids of each window of `text`, ready for the encoder; none for nothing but white space."""
        sentences = (self.ids(sentence) for sentence in _BREAK.split(text))
        return [[self._first, *window, self._last] for window in self._windowing.windows(sentences)]

    def ids(self, text: str) -> list[int]:
        """Answer the token ids of `text`, without [CLS] and [SEP]."""
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return found
