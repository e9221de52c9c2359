"""The simulator's words: whole characters, stop texts, lengths, and the same for the same seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.inference.engine import Delta, FinishReason
from services.inference.request import GenerationRequest, Sampling
from services.inference.sim_text import Speaker, StopTexts, natural_length, seed_of
from services.inference.sim_vocabulary import SimTokenizer, make_tape

TOKENIZER = SimTokenizer()
TAPE = make_tape(TOKENIZER)


def speak(sampling: Sampling, *, limit: int, natural: int = 10**6, choice: int = 0, name: str = "req_1") -> list[Delta]:
    speaker = Speaker(GenerationRequest(name, [1, 2], sampling), choice, limit, natural, TAPE, TOKENIZER)
    deltas = []
    while not deltas or deltas[-1].finish is None:
        deltas.append(speaker.next())
    return deltas


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


@given(st.text())
def test_encoding_loses_nothing(written: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(written, framed=False)) == written


def test_the_tape_is_whole_characters_spread_over_tokens() -> None:
    assert any(token.text == "" for token in TAPE)
    assert TOKENIZER.decode([token.token_id for token in TAPE]) == "".join(token.text for token in TAPE)


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_both_paths_say_the_same(seed: int, limit: int) -> None:
    plain = speak(Sampling(seed=seed, ignore_eos=True), limit=limit)
    bent = speak(Sampling(seed=seed, ignore_eos=True, top_logprobs=0), limit=limit)
    held = speak(Sampling(seed=seed, ignore_eos=True, stop=("\0" * 9,)), limit=limit)
    assert text(plain) == text(bent) == text(held)
    assert [delta.finish for delta in plain] == [None] * (limit - 1) + [FinishReason.LENGTH]


def test_an_answer_ends_by_itself_with_an_end_token() -> None:
    deltas = speak(Sampling(seed=1), limit=100, natural=7)
    assert (len(deltas), deltas[-1].text, deltas[-1].finish) == (8, "", FinishReason.STOP)


def test_an_answer_has_its_least_length() -> None:
    assert len(speak(Sampling(seed=1, min_tokens=20), limit=100, natural=7)) == 21


@given(st.lists(st.sampled_from(["a", "ab", "b", "c", ""])), st.lists(st.sampled_from(["ab", "abc", "ca"]), min_size=1))
def test_a_stop_text_is_found_however_it_is_cut(pieces: list[str], stop: list[str]) -> None:
    whole = "".join(pieces)
    matcher, told, met = StopTexts(stop), "", False
    for piece in pieces:
        more, met = matcher.feed(piece)
        told += more
        if met:
            break
    ends = [whole.index(word) + len(word) for word in stop if word in whole]
    assert met == bool(ends)
    if met:
        assert not any(word in told for word in stop)
        assert whole.startswith(told)
    else:
        assert told + matcher.rest() == whole


def test_what_is_drawn_depends_on_seed_or_request_and_choice() -> None:
    greedy, sampled = Sampling(temperature=0), Sampling()
    assert seed_of(GenerationRequest("a", [1], greedy), 0) == seed_of(GenerationRequest("b", [1], greedy), 1)
    assert seed_of(GenerationRequest("a", [1], sampled), 0) != seed_of(GenerationRequest("b", [1], sampled), 0)
    seeded = Sampling(seed=1)
    assert seed_of(GenerationRequest("a", [1], seeded), 0) == seed_of(GenerationRequest("b", [1], seeded), 0)
    assert seed_of(GenerationRequest("a", [1], seeded), 0) != seed_of(GenerationRequest("a", [1], seeded), 1)


def test_lengths_have_the_wanted_mean() -> None:
    lengths = [natural_length(seed, 64) for seed in range(2000)]
    assert 60 < sum(lengths) / len(lengths) < 68
    assert min(lengths) >= 1
