"""What no engine should see is refused, by the field's name."""

from __future__ import annotations

import pytest

from services.inference.errors import InvalidRequestError, PromptTooLongError
from services.inference.request import GenerationRequest, Sampling, check


def judge(request: GenerationRequest) -> None:
    check(request, max_model_tokens=100, vocabulary_size=1000)


def test_an_ordinary_request_passes() -> None:
    judge(GenerationRequest("req_1", [0, 999], Sampling(max_tokens=5, stop=("a",), logit_bias={999: -100})))


def test_a_prompt_needs_room_for_one_token() -> None:
    judge(GenerationRequest("req_1", [1] * 99))
    with pytest.raises(PromptTooLongError) as refusal:
        judge(GenerationRequest("req_1", [1] * 100))
    assert (refusal.value.prompt_tokens, refusal.value.max_model_tokens) == (100, 100)


@pytest.mark.parametrize(
    ("sampling", "param"),
    [
        (Sampling(max_tokens=2, min_tokens=3), "min_tokens"),
        (Sampling(stop=("a", "b", "c", "d", "e")), "stop"),
        (Sampling(presence_penalty=2.1), "presence_penalty"),
        (Sampling(frequency_penalty=-2.1), "frequency_penalty"),
        (Sampling(logit_bias={1000: 1}), "logit_bias"),
        (Sampling(logit_bias={1: float("nan")}), "logit_bias"),
        (Sampling(prompt_logprobs=-1), "top_logprobs"),
        (Sampling(temperature=float("inf")), "temperature"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(sampling: Sampling, param: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        judge(GenerationRequest("req_1", [1], sampling))
    assert refusal.value.param == param


@pytest.mark.parametrize(("wanted", "got"), [(None, 90), (5, 5), (500, 90), (0, 0)])
def test_a_choice_gets_what_it_wants_or_what_there_is(wanted: int | None, got: int) -> None:
    assert GenerationRequest("req_1", [1] * 10, Sampling(max_tokens=wanted)).max_tokens(100) == got
