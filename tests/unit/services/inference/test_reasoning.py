"""The division of thought and answer: what it tells does not depend on how the text was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.reasoning import FORMS, ReasoningForm, ReasoningSplitter

THINK = ReasoningForm()


def read(pieces: list[str], *, thinking: bool = False, form: ReasoningForm = THINK) -> tuple[str, str]:
    """All thought and all text."""
    splitter = ReasoningSplitter(form, thinking=thinking)
    splits = [*map(splitter.feed, pieces), splitter.rest()]
    return "".join(split.reasoning for split in splits), "".join(split.text for split in splits)


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>\nHm. 2 + 2.\n</think>\n\nFour.", "Hm. 2 + 2.", "Four."),
        ("\n<think>a</think>b", "a", "b"),
        ("<think></think>Hello", "", "Hello"),
        ("<think>\n\n</think>\n\nHello\n", "", "Hello\n"),
        ("Hello", "", "Hello"),
        ("  Hello", "", "  Hello"),
        ("Hello <think>no</think>", "", "Hello <think>no</think>"),
        ("<think>a < b\n\nand </thin air</think>c", "a < b\n\nand </thin air", "c"),
        ("<think>never ends", "never ends", ""),
        ("<think>never ends </thi", "never ends </thi", ""),
        ("<thi", "", "<thi"),
        ("", "", ""),
    ],
)
def test_thought_and_answer_are_told_apart(text: str, thought: str, answer: str) -> None:
    assert read([text]) == (thought, answer)
    assert read(list(text)) == (thought, answer)


def test_a_prompt_that_opened_the_thought_begins_inside() -> None:
    assert read(["\nHm.\n</think>\nFour."], thinking=True) == ("Hm.", "Four.")


def test_other_models_use_other_tags() -> None:
    form = FORMS["mistral"]
    assert form is not None
    assert read(list("[THINK]Hm. <think>[/THINK]Four."), form=form) == ("Hm. <think>", "Four.")


def test_it_knows_whether_what_comes_next_is_thought() -> None:
    splitter = ReasoningSplitter(THINK)
    states = []
    for piece in ("<think>", "a", "</think>", "b"):
        splitter.feed(piece)
        states.append(splitter.thinking)
    assert states == [True, True, False, False]


PIECES = st.one_of(
    st.sampled_from([THINK.begin, THINK.end, "<", "</", "think>", "\n", " ", "hello"]), st.text(max_size=5)
)


@given(st.lists(PIECES, max_size=8).map("".join), st.data(), st.booleans())
def test_the_cut_of_the_text_changes_nothing(text: str, data: st.DataObject, thinking: bool) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(pieces, thinking=thinking) == read([text], thinking=thinking)
    assert read(list(text), thinking=thinking) == read([text], thinking=thinking)
