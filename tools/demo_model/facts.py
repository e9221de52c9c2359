"""The plain facts the model knows, read from `tables/`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from tools.demo_model import tables
from tools.demo_model.choices import Choices

K = TypeVar("K")
V = TypeVar("V")

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
ORDINALS = (
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
)
NUMBER_WORDS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
)
LANGUAGE_WORDS = ("hello", "thank you", "goodbye", "yes", "no", "cat", "dog", "water")

UNKNOWN = "I am sorry, I do not know that. I am only a small demonstration model."
NO_TOOL = "I cannot do that without a tool. Offer me one in the request and I will call it."
GIBBERISH = "I am sorry, I did not understand that."
TOO_LARGE = "I am sorry, I can only calculate with small numbers."
IDENTITY_HELP = "How can I help you?"


@dataclass(frozen=True)
class Country:
    """A country as it stands in running text ("the Netherlands"), its capital and its continent."""

    names: tuple[str, ...]
    capital: str
    continent: str


@dataclass(frozen=True)
class Answer:
    """A text and the questions it answers."""

    text: str
    questions: Choices


@dataclass(frozen=True)
class Writing:
    """A longer text and the topics it is written about; no topic means it is for anybody who asks for any."""

    topics: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Facts:
    """Everything in the tables that is not a way of asking and not a mere word."""

    countries: tuple[Country, ...]
    definitions: tuple[tuple[str, tuple[str, ...]], ...]
    languages: tuple[tuple[str, ...], ...]
    pairs: dict[str, tuple[tuple[str, str], ...]]
    greetings: tuple[Answer, ...]
    answers: tuple[Answer, ...]
    writings: dict[str, tuple[Writing, ...]]

    @classmethod
    def load(cls) -> "Facts":
        """Read the tables."""
        return cls(
            countries=tuple(_country(row) for row in tables.rows("countries.txt")),
            definitions=tuple((row[0], tuple(row[1:])) for row in tables.rows("definitions.txt")),
            languages=tuple(tuple(row) for row in tables.rows("languages.txt")),
            pairs=_grouped((kind, (one, other)) for kind, one, other in tables.rows("pairs.txt")),
            greetings=tuple(_answer(row) for row in tables.rows("greetings.txt")),
            answers=tuple(_answer(row) for row in tables.rows("answers.txt")),
            writings=_grouped(_writing(heading, text) for heading, text in tables.sections("writings.txt").items()),
        )


def _country(row: list[str]) -> Country:
    name, capital, continent, *aliases = row
    names = [("the " + name[1:]) if name.startswith("*") else name]
    names += [("the " + alias) if alias in ("USA", "US", "UK") else alias for alias in aliases]
    return Country(tuple(names), capital, continent)


def _answer(row: list[str]) -> Answer:
    return Answer(row[0], Choices.of(question.strip() for question in row[1].split(" ; ")))


def _writing(heading: str, text: list[str]) -> tuple[str, Writing]:
    kind, _, topics = heading.partition(":")
    return kind, Writing(tuple(t.strip() for t in topics.split(" ; ") if t.strip()), "\n".join(text))


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, tuple[V, ...]]:
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}
