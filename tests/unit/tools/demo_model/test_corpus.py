"""What the corpus promises: reproducible, and free of everything that is held out of training."""

import itertools
import random

import pytest

from tools.demo_model import corpus
from tools.demo_model.choices import Choices, plain
from tools.demo_model.draw import NEW_WORDS, Draw, Sources
from tools.demo_model.exam import MustAnswer, asks, cases, trained_questions
from tools.demo_model.words import is_held

SAMPLES = 3000


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources.load()


def test_the_same_seed_makes_the_same_corpus(sources: Sources) -> None:
    one, same, other = (
        [c.text() for c in itertools.islice(corpus.conversations(sources, seed), 50)] for seed in (7, 7, 8)
    )
    assert one == same != other


def test_no_list_trains_on_what_it_holds_out() -> None:
    with pytest.raises(ValueError, match="held out and trained on"):
        Choices.of(["What is {s}?", "~what is {s}"])


def test_every_kind_of_question_has_held_out_phrasings(sources: Sources) -> None:
    assert [heading for heading, choices in sources.phrasings.items() if not choices.held] == []


def test_held_out_phrasings_never_occur_in_training(sources: Sources) -> None:
    trained = {plain(line) for line in _user_lines(sources)}
    held = [q for answer in (*sources.facts.answers, *sources.facts.greetings) for q in answer.questions.held]
    held += [text for choices in sources.phrasings.values() for text in choices.held if "{" not in text]
    assert sorted(trained & {plain(phrasing) for phrasing in held}) == []


def test_held_out_words_never_occur_in_training(sources: Sources) -> None:
    assert len(trained_questions(sources, SAMPLES)) > SAMPLES / 2  # raises on the first held out word


def test_held_out_words_are_what_the_test_of_new_words_uses(sources: Sources) -> None:
    draw = Draw(sources, random.Random(0), NEW_WORDS)
    assert all(is_held(draw.invented()) for _ in range(200))
    assert {draw.word("city") for _ in range(200)} <= set(sources.words.kinds["city"].held)


def test_invented_words_of_training_are_not_held_out(sources: Sources) -> None:
    draw = Draw(sources, random.Random(0))
    assert not any(is_held(draw.invented()) for _ in range(200))


def test_the_suites_ask_nothing_held_out_that_training_asks(sources: Sources) -> None:
    trained = trained_questions(sources, SAMPLES)
    asked = list(cases(sources, 2, 1, trained))
    assert {case.suite for case in asked} == {"seen", "new phrasings", "new words"}
    held = [case.prompt for case in asked if case.suite != "seen"]
    prompts = {c.exam()[0] for c in itertools.islice(corpus.conversations(sources, 2**31), SAMPLES)}
    assert prompts.isdisjoint(held)


def test_every_conversation_ends_with_the_assistant(sources: Sources) -> None:
    for conversation in itertools.islice(corpus.conversations(sources, 4), SAMPLES):
        assert conversation.messages[-1]["role"] == "assistant"
        assert "{" not in asks(conversation)


def test_the_answers_every_release_must_give_can_be_read() -> None:
    must = MustAnswer.load()
    assert len(must) > 50
    assert all(item.prompt.endswith("<|im_start|>assistant\n") for item in must)


def _user_lines(sources: Sources) -> set[str]:
    stream = itertools.islice(corpus.conversations(sources, 5), SAMPLES)
    return {m["content"] for c in stream for m in c.messages if m["role"] != "assistant"}
