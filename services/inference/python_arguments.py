"""Keyword arguments as Python writes them, turned into a JSON object while they come.

`city="Paris", days=[1, 2], exact=True)` becomes `{"city": "Paris", "days": [1, 2], "exact": true}`. Values are
literals: strings, numbers, True, False, None, lists and dictionaries. Nothing is evaluated. `**{…}` is a JSON object as
it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

from services.inference.json_value import JsonValue

_RUN = re.compile(r"[^\\'\"]+")
_WORD = re.compile(r"[A-Za-z0-9_.+-]+")
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|[^xuU0-7])", re.DOTALL)
_UNFINISHED = re.compile(r"\\(?:x[0-9a-fA-F]{0,1}|u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7}|[0-7]{0,2})\Z|\\\Z")
_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_NUMBER = re.compile(r"[+-]?[0-9_.]+(?:[eE][+-]?[0-9]+)?\Z")
_CONSTANTS = {"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"}
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v", "\n": ""}
_CLOSES = {")": "(", "]": "[", "}": "{"}
_LONGEST_WORD = 1024
_DEEPEST = 128


class PythonArguments:
    """Begins behind the opening parenthesis of a call."""

    def __init__(self) -> None:
        self._stack = ["("]
        self._filled = [False]
        self._want = "name"
        self._word = ""
        self._quote = ""
        self._escape = ""
        self._raw: JsonValue | None = None
        self._out: list[str] = []
        self.ended = False
        self.refused = False
        """Whether it turned out to be no list of keyword arguments; what was taken before stands."""

    @property
    def held(self) -> str:
        """What was taken and not told: a word that may go on."""
        return self._word

    def rest(self) -> str:
        """JSON of the word that the end of the text cut off; empty without one."""
        if self._want != "value" or (written := literal(self._word)) is None:
            return ""
        self._separate()
        told, self._out = "".join(self._out), []
        return told + written

    def feed(self, text: str) -> tuple[int, str]:
        """Read on, until the closing parenthesis. Answers how many characters were taken and the JSON they make."""
        place = 0
        while place < len(text) and not self.ended and not self.refused:
            place += self._read(text, place)
        told, self._out = "".join(self._out), []
        return place, told

    def _read(self, text: str, place: int) -> int:
        if self._raw is not None:
            taken = self._raw.feed(text[place:])
            self._out.append(text[place : place + taken])
            if self._raw.ended:
                self._raw, self._want = None, "end"
            return taken
        if self._quote:
            return self._in_string(text, place)
        if word := _WORD.match(text, place):
            return self._grow(word[0])
        return self._structure(text[place])

    def _grow(self, word: str) -> int:
        if self._want not in ("name", "value") or len(self._word) + len(word) > _LONGEST_WORD:
            return self._refuse()
        self._word += word
        return len(word)

    def _refuse(self) -> int:
        self.refused = True
        return 0

    def _structure(self, character: str) -> int:
        if self._word and self._want == "value" and not self._word_ends():
            return self._refuse()
        if character.isspace():
            if self._want == "name" and self._word:
                self._want = "equals"
            return 1
        if self._want in ("name", "equals"):
            return self._at_name(character)
        if self._want == "value" and character in "\"'[{":
            return self._value_begins(character)
        if self._want == "colon" and character == ":":
            self._out.append(": ")
            self._want = "value"
            return 1
        if character in _CLOSES:
            return self._close(character)
        if self._want in ("after", "end") and character == "," and (self._want == "after" or len(self._stack) == 1):
            if self._want == "after":
                self._want = {"(": "name", "[": "value", "{": "key"}[self._stack[-1]]
            return 1
        if self._want == "key" and character in "\"'":
            return self._value_begins(character)
        return self._refuse()

    def _at_name(self, character: str) -> int:
        if character == "=" and _NAME.match(self._word):
            self._out.append("{" if not self._filled[-1] else ", ")
            self._filled[-1] = True
            self._out.append(f"{json.dumps(self._word)}: ")
            self._word, self._want = "", "value"
            return 1
        if self._word == "" and character == "*" and not self._filled[-1]:
            self._word = "*"
        elif self._word == "*" and character == "*":
            self._word = "**"
        elif self._word == "**" and character == "{":
            self._word, self._raw, self._filled[-1] = "", JsonValue(), True
            return 0
        elif self._word == "" and character == ")":
            return self._close(character)
        else:
            return self._refuse()
        return 1

    def _value_begins(self, character: str) -> int:
        self._separate()
        if character in "\"'":
            self._quote = character
            self._out.append('"')
        elif len(self._stack) >= _DEEPEST:
            return self._refuse()
        else:
            self._stack.append(character)
            self._filled.append(False)
            self._out.append(character)
            self._want = "value" if character == "[" else "key"
        return 1

    def _separate(self) -> None:
        """A comma before all elements but the first; a dictionary's are separated before their keys."""
        if self._stack[-1] == "[" or self._want == "key":
            if self._filled[-1]:
                self._out.append(", ")
            self._filled[-1] = True

    def _word_ends(self) -> bool:
        """A number or a constant is whole."""
        written = literal(self._word)
        if written is None:
            return False
        self._separate()
        self._out.append(written)
        self._word, self._want = "", "after"
        return True

    def _close(self, character: str) -> int:
        empty = self._want in ("name", "key") or (self._want == "value" and self._stack[-1] == "[")
        if self._stack[-1] != _CLOSES[character] or not (empty or self._want in ("after", "end")):
            return self._refuse()
        self._stack.pop()
        filled = self._filled.pop()
        if self._stack:
            self._out.append(character)
            self._want = "after"
        else:
            if self._want != "end":
                self._out.append("}" if filled else "{}")
            self.ended = True
        return 1

    def _in_string(self, text: str, place: int) -> int:
        if self._escape:
            return self._escaped(text[place])
        if run := _RUN.match(text, place):
            self._say(run[0])
            return run.end() - place
        character = text[place]
        if character == "\\":
            self._escape = character
        elif character == self._quote:
            self._quote = ""
            self._out.append('"')
            self._want = "colon" if self._want == "key" else "after"
        else:
            self._say(character)
        return 1

    def _escaped(self, character: str) -> int:
        """One more character of an escape sequence. One that turns out to be none is the text it is."""
        longer = self._escape + character
        if _ESCAPE.fullmatch(longer):
            self._say(_meaning(longer))
            self._escape = ""
            return 1
        if _UNFINISHED.fullmatch(longer):
            self._escape = longer
            return 1
        octal = self._escape[1:].isdigit()
        self._say(chr(int(self._escape[1:], 8)) if octal else self._escape)
        self._escape = ""
        return 0

    def _say(self, text: str) -> None:
        """More of a string. Lone halves of a character stay escaped: no text can hold them."""
        ascii_only = any("\ud800" <= character <= "\udfff" for character in text)
        self._out.append(json.dumps(text, ensure_ascii=ascii_only)[1:-1])


def literal(word: str) -> str | None:
    """A number or a constant of Python's as JSON; None: it is neither."""
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if not _NUMBER.match(word):
        return None
    for read in (int, float):
        number = _number(read, word)
        if number is not None and math.isfinite(number):
            return json.dumps(number)
    return None


def _number(read: Callable[[str], int | float], word: str) -> int | float | None:
    try:
        return read(word)
    except (ValueError, OverflowError):
        return None


def _meaning(escape: str) -> str:
    kind = escape[1]
    if kind in "xuU":
        digits = escape[2:]
        point = int(digits, 16)
        return chr(point) if point <= 0x10FFFF else "\ufffd"
    if kind.isdigit() and len(escape) == 4:
        return chr(int(escape[1:], 8))
    if kind in "\\'\"":
        return kind
    return _LETTERS.get(kind, escape)
