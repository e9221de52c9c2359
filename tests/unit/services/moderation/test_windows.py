"""How a text is cut into what the encoder reads."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.moderation.classifier import packaged_model
from services.moderation.windows import Windowing, WordPieces

CLS, SEP = 101, 102


@pytest.fixture(scope="module")
def word_pieces() -> WordPieces:
    return WordPieces(packaged_model() / "tokenizer.json", Windowing())


def words(word_pieces: WordPieces, text: str) -> list[str]:
    """The windows of `text`, read back."""
    return [word_pieces._tokenizer.decode(window) for window in word_pieces.windows(text)]


def test_long_sentences_are_windows_of_their_own(word_pieces: WordPieces) -> None:
    first = "the weather in the mountains was better than the forecast had promised us"
    second = "so we walked up to the hut and stayed there until the sun went down"
    assert words(word_pieces, f"{first}. {second}!") == [f"{first}.", f"{second}!"]


def test_short_sentences_are_joined(word_pieces: WordPieces) -> None:
    assert words(word_pieces, "Hello. How are you?\nFine!") == ["hello. how are you? fine!"]


@pytest.mark.parametrize("end", ["!", "?", "…", ".", "\n", "\r\n"])
def test_a_sentence_ends_where_a_reader_would_say_so(word_pieces: WordPieces, end: str) -> None:
    sentence = "one two three four five six seven eight nine ten eleven"
    assert len(word_pieces.windows(f"{sentence}{end} {sentence}")) == 2


def test_sentences_without_spaces_between_them_end_too(word_pieces: WordPieces) -> None:
    sentence = "東京東京東京東京東京東京"
    assert len(word_pieces.windows(f"{sentence}。{sentence}。")) == 2


@pytest.mark.parametrize("text", ["", " ", "\n\n", " \t\r\n "])
def test_nothing_has_no_windows(word_pieces: WordPieces, text: str) -> None:
    assert word_pieces.windows(text) == []


def test_what_looks_like_the_models_own_marks_is_text_that_is_still_judged(word_pieces: WordPieces) -> None:
    assert len(word_pieces.windows("[SEP] kill")[0]) >= 4


def test_many_line_ends_take_no_time_to_speak_of(word_pieces: WordPieces) -> None:
    assert word_pieces.windows("\n" * 100_000 + " " * 100_000) == []


sentences = st.lists(st.lists(st.integers(1000, 1100), max_size=40), max_size=12)
windowings = st.tuples(st.integers(1, 20), st.integers(0, 19), st.integers(0, 20)).map(
    lambda numbers: Windowing(numbers[0], min(numbers[1], numbers[0] - 1), min(numbers[2], numbers[0]))
)


@given(windowings, sentences)
def test_no_token_is_lost_and_no_window_is_empty_or_too_long(windowing: Windowing, text: list[list[int]]) -> None:
    numbered, number = [], 0
    for sentence in text:
        numbered.append(list(range(number, number + len(sentence))))
        number += len(sentence)
    windows = list(windowing.windows(numbered))
    assert {token for window in windows for token in window} == set(range(number))
    assert all(1 <= len(window) <= windowing.longest for window in windows)
    assert all(window == list(range(window[0], window[-1] + 1)) for window in windows)


@given(windowings, st.integers(0, 200))
def test_a_cut_sentence_overlaps_by_as_much_as_asked(windowing: Windowing, length: int) -> None:
    alone = Windowing(windowing.longest, windowing.overlap, joined=0)
    windows = list(alone.windows([list(range(length))]))
    for before, after in pairwise(windows):
        assert before[len(before) - windowing.overlap :] == after[: windowing.overlap]


@pytest.mark.parametrize(("longest", "overlap", "joined"), [(10, 10, 0), (10, -1, 0), (10, 0, 11), (0, 0, 0)])
def test_a_cut_that_would_never_end_is_refused(longest: int, overlap: int, joined: int) -> None:
    with pytest.raises(ValueError, match="not a way to cut"):
        Windowing(longest, overlap, joined)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="is not a tokenizer"):
        WordPieces(path, Windowing())
