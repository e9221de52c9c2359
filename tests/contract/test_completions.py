"""The legacy endpoint: texts continued."""

import openai
import pytest
from openai import OpenAI

PROMPT = "The capital of France is"


def test_a_text_is_continued_by_at_most_sixteen_tokens(strict: OpenAI, model: str) -> None:
    completion = strict.completions.create(model=model, prompt=PROMPT, temperature=0)
    assert completion.object == "text_completion"
    assert completion.id.startswith("cmpl-")
    assert 1 <= completion.usage.completion_tokens <= 16
    assert not completion.choices[0].text.startswith(PROMPT)


def test_echo_begins_with_the_prompt(strict: OpenAI, model: str) -> None:
    plain = strict.completions.create(model=model, prompt=PROMPT, temperature=0)
    echoed = strict.completions.create(model=model, prompt=PROMPT, temperature=0, echo=True)
    assert echoed.choices[0].text == PROMPT + plain.choices[0].text


def test_choices_of_several_prompts_are_numbered_through(strict: OpenAI, model: str) -> None:
    completion = strict.completions.create(model=model, prompt=["One two", "Red green"], n=2, max_tokens=4, echo=True)
    assert [choice.index for choice in completion.choices] == [0, 1, 2, 3]
    assert [choice.text.split()[0] for choice in completion.choices] == ["One", "One", "Red", "Red"]


def test_two_prompts_cost_what_they_cost_alone(client: OpenAI, model: str) -> None:
    prompts = ["One two three", "Red green"]
    alone = [client.completions.create(model=model, prompt=prompt, max_tokens=1).usage for prompt in prompts]
    together = client.completions.create(model=model, prompt=prompts, max_tokens=1).usage
    assert together.prompt_tokens == sum(usage.prompt_tokens for usage in alone)
    assert together.completion_tokens == 2


def test_log_probabilities_come_as_four_lists_of_one_length(strict: OpenAI, client: OpenAI, model: str) -> None:
    completion = strict.completions.create(model=model, prompt=PROMPT, max_tokens=4, temperature=0, logprobs=2)
    (choice,) = completion.choices
    told = choice.logprobs
    count = completion.usage.completion_tokens
    assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset) == count
    assert "".join(told.tokens).startswith(choice.text)
    for token, logprob, top in zip(told.tokens, told.token_logprobs, told.top_logprobs, strict=True):
        assert logprob <= 0
        assert 2 <= len(top) <= 3
        assert top[token] == logprob == max(top.values())
    assert told.text_offset[0] == len(PROMPT)
    assert told.text_offset == sorted(told.text_offset)
    streamed = client.completions.create(
        model=model, prompt=PROMPT, max_tokens=4, temperature=0, logprobs=2, stream=True
    )
    pieces = [chunk.choices[0].logprobs for chunk in streamed if chunk.choices[0].logprobs]
    assert [offset for piece in pieces for offset in piece.text_offset] == told.text_offset


def test_echoed_log_probabilities_begin_with_one_that_has_none(client: OpenAI, model: str) -> None:
    completion = client.completions.create(
        model=model, prompt=PROMPT, max_tokens=2, temperature=0, logprobs=1, echo=True
    )
    told = completion.choices[0].logprobs
    assert told.token_logprobs[0] is None
    assert all(logprob <= 0 for logprob in told.token_logprobs[1:])
    assert told.text_offset[0] == 0
    assert len(told.tokens) == completion.usage.prompt_tokens + completion.usage.completion_tokens


def test_the_pieces_are_the_whole(client: OpenAI, model: str) -> None:
    whole = client.completions.create(model=model, prompt=PROMPT, temperature=0, max_tokens=8)
    *pieces, last = client.completions.create(
        model=model,
        prompt=PROMPT,
        temperature=0,
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert "".join(chunk.choices[0].text for chunk in pieces) == whole.choices[0].text
    assert pieces[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.choices == []
    assert last.usage.completion_tokens == whole.usage.completion_tokens


@pytest.mark.parametrize("prompt", [[999_999_999], [[1, 2], [999_999]], [-1]])
def test_token_ids_out_of_the_vocabulary_are_refused(client: OpenAI, model: str, prompt: list[int]) -> None:
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model=model, prompt=prompt)


def test_token_ids_make_a_prompt(client: OpenAI, model: str) -> None:
    completion = client.completions.create(model=model, prompt=[300, 301, 302], max_tokens=1)
    assert completion.usage.prompt_tokens == 3
