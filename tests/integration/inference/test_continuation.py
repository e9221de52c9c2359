"""An answer that another replica began goes on where it broke off: nothing lost, nothing twice, counted once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from capstan.inference.v1 import inference_pb2 as pb
from chassis.errors import Reason
from services.inference.settings import Settings
from tests.integration.inference.service_client import Gateway, service, stub_of

SHORT = Settings(
    model_name="sim", engine="simulator", sim_tokens_per_s=0, sim_ttft_s=0, sim_answer_tokens=40, max_adapters=1
)
SAMPLING = {"temperature": 0.0}


def text_of(deltas: Sequence[pb.Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def begun(deltas: Sequence[pb.Delta], count: int) -> pb.Continuation:
    return pb.Continuation(text=text_of(deltas[:count]))


@pytest.mark.parametrize("prompt", ["Hello there.", "A second prompt.", "ж and other letters"])
async def test_wherever_an_answer_broke_off_it_goes_on_from_there(prompt: str) -> None:
    async with service(SHORT) as it, stub_of(it) as stub:
        gateway = await Gateway(stub).open()
        await gateway.start(0, prompt, sampling=SAMPLING)
        whole = (await gateway.answer(0))[0]
        used = whole[-1].finish.usage
        for count in range(1, len(whole) - 1, 5):
            await gateway.start(1, prompt, sampling=SAMPLING, continuation=begun(whole, count))
            rest = (await gateway.answer(1))[1]
            assert text_of(whole[:count]) + text_of(rest) == text_of(whole)
            assert rest[-1].finish_reason == whole[-1].finish_reason
            usage = rest[-1].finish.usage
            assert (usage.prompt_tokens, usage.completion_tokens) == (used.prompt_tokens, used.completion_tokens)


async def test_what_was_said_counts_against_the_most_that_may_be() -> None:
    async with service() as it, stub_of(it) as stub:
        gateway = await Gateway(stub).open()
        sampling = SAMPLING | {"max_tokens": 12}
        await gateway.start(0, sampling=sampling)
        whole = (await gateway.answer(0))[0]
        for count in (4, len(whole)):  # the second: only the end was lost
            await gateway.start(1, sampling=sampling, continuation=begun(whole, count))
            rest = (await gateway.answer(1))[1]
            assert text_of(whole[:count]) + text_of(rest) == text_of(whole)
            assert rest[-1].finish.usage.completion_tokens == 12
            assert rest[-1].finish_reason == pb.FINISH_REASON_LENGTH


async def test_a_stop_text_is_found_across_the_break() -> None:
    async with service() as it, stub_of(it) as stub:
        gateway = await Gateway(stub).open()
        await gateway.start(0, sampling=SAMPLING | {"max_tokens": 30})
        free = text_of((await gateway.answer(0))[0])
        stop = free[30:36]
        sampling = SAMPLING | {"max_tokens": 30, "stop": [stop]}
        await gateway.start(1, sampling=sampling)
        whole = (await gateway.answer(1))[1]
        assert text_of(whole) == free[: free.index(stop)]
        for count in range(1, len(whole), 3):
            await gateway.start(2, sampling=sampling, continuation=begun(whole, count))
            rest = (await gateway.answer(2))[2]
            assert text_of(whole[:count]) + text_of(rest) == text_of(whole)


@pytest.mark.parametrize(
    "more",
    [
        {"sampling": {"choice_count": 2}},
        {"sampling": {"top_logprobs": 0}},
        {"sampling": {"echo": True}},
        {"format": pb.OutputFormat(json_object=True)},
    ],
)
async def test_only_plain_text_is_continued(more: dict[str, object]) -> None:
    async with service() as it, stub_of(it) as stub:
        gateway = await Gateway(stub).open()
        await gateway.start(0, continuation=pb.Continuation(text="Once"), **more)
        error = await gateway.failure(0)
        assert (error.reason, error.metadata["param"]) == (Reason.PARAMETER_REFUSED, "continuation")
