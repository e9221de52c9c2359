"""Names, cities and other words that only have to be copied, and invented ones without end."""

import random
import zlib
from dataclasses import dataclass

from tools.demo_model import tables
from tools.demo_model.choices import Choices, plain

_ACCENTS = str.maketrans("aeiouncsz", "áéíöüñčšž")
HELD_SHARE = 8
"""One invented word in so many is held out of training, by its checksum."""


def is_held(word: str) -> bool:
    """Tell whether an invented word is held out of training."""
    return zlib.crc32(word.casefold().encode()) % HELD_SHARE == 0


@dataclass(frozen=True)
class Words:
    """Lists of words by kind ("name", "city", "thing"...)."""

    kinds: dict[str, Choices]
    held: frozenset[str]

    @classmethod
    def load(cls) -> "Words":
        """Read `words.txt` and `unknown_words.txt`."""
        texts: dict[str, list[str]] = {}
        for kind, line in tables.rows("words.txt") + tables.rows("unknown_words.txt"):
            held = "~" if line.startswith("~") else ""
            line = line.removeprefix("~")
            texts.setdefault(kind, []).extend(held + word.strip() for word in line.split(";" if ";" in line else " "))
        kinds = {kind: Choices.of(words) for kind, words in texts.items()}
        return cls(kinds, frozenset(plain(word) for choices in kinds.values() for word in choices.held))

    def invent(self, rng: random.Random, held: bool) -> str:
        """Return a word nobody has used, in lower case; held out ones and the others never mix."""
        while True:
            word = "".join(self._syllable(rng) for _ in range(rng.choices((1, 2, 3, 4), (3, 9, 3, 1))[0]))
            if rng.random() < 0.05:
                letter = rng.choice(word)
                word = word.replace(letter, letter.translate(_ACCENTS), 1)
            if len(word) > 2 and is_held(word) == held and plain(word) not in self.held:
                return word

    def _syllable(self, rng: random.Random) -> str:
        onset = rng.choice(self.kinds["onset"].seen) if rng.random() < 0.85 else ""
        coda = rng.choice(self.kinds["coda"].seen) if rng.random() < 0.55 else ""
        return onset + rng.choice(self.kinds["vowel"].seen) + coda
