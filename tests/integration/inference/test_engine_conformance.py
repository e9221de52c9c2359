"""What both engines promise: the same tests, over vLLM with the demonstration model and over the simulator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from services.inference.answer_format import constraint_of
from services.inference.engine import NOT_KNOWN, Engine, FinishReason, stream
from services.inference.errors import (
    EngineOverloadedError,
    InvalidRequestError,
    PromptTooLongError,
    UnknownAdapterError,
)
from services.inference.prompts import Conversation, Function, Prompts
from services.inference.request import (
    Choice,
    GenerationRequest,
    Grammar,
    JsonObject,
    JsonSchema,
    Regex,
    Sampling,
    StructuralTag,
)
from services.inference.tool_call_forms import FORMS, CallForm
from tests.integration.inference.engines import (
    Ear,
    chat,
    collect,
    needs_vllm,
    simulator,
    started,
    text_of,
    third_party_warnings,
    tokens_of,
    vllm_chat,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), third_party_warnings]

MANY = Sampling(max_tokens=900, ignore_eos=True)
NOISE = list(range(300, 340))
"""A prompt that no model has an opinion on, so that sampling shows."""


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["simulator", pytest.param("vllm", marks=needs_vllm)]
)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    async with started(simulator() if request.param == "simulator" else vllm_chat()) as running:
        yield running


@pytest.fixture
def shapes(engine: Engine) -> None:
    """For tests of structured output, which only a real model can do."""
    if engine.model.fingerprint == "fp_simulator":
        pytest.skip("the simulator refuses structured output")


@pytest.fixture(scope="module")
def ids() -> Iterator[str]:
    return (f"req_{number}" for number in count())


async def test_the_deltas_make_the_answer(engine: Engine, ids: Iterator[str]) -> None:
    prompt = chat(engine, "What is the capital of France?")
    deltas = await collect(engine, GenerationRequest(next(ids), prompt, Sampling(max_tokens=40, temperature=0)))
    again = await collect(engine, GenerationRequest(next(ids), prompt, Sampling(max_tokens=40, temperature=0)))
    assert len(deltas) > 2
    assert text_of(deltas) == text_of(again) != ""
    assert [delta.finish for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish in (FinishReason.STOP, FinishReason.LENGTH)


async def test_the_end_is_no_text_even_where_control_tokens_are(engine: Engine, ids: Iterator[str]) -> None:
    prompt = chat(engine, "What is the capital of France?")
    sampling = Sampling(max_tokens=200, temperature=0)
    hidden = await collect(engine, GenerationRequest(next(ids), prompt, sampling))
    shown = await collect(engine, GenerationRequest(next(ids), prompt, sampling, control_tokens=True))
    assert hidden[-1].finish is shown[-1].finish is FinishReason.STOP
    assert text_of(shown) == text_of(hidden)


async def test_characters_arrive_whole(engine: Engine, ids: Iterator[str]) -> None:
    heart = engine.tokenizer.encode("\N{SPARKLING HEART}", framed=False)
    assert len(heart) > 1
    only = Sampling(max_tokens=60, ignore_eos=True, temperature=1, seed=5, logit_bias=dict.fromkeys(heart, 100.0))
    deltas = await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), only))
    assert tokens_of(deltas) == 60
    text_of(deltas).encode("utf-8")  # a surrogate would be half a character
    assert any(delta.text == "" for delta in deltas)


async def test_after_whichever_token_an_answer_broke_off_it_goes_on_word_for_word(
    engine: Engine, ids: Iterator[str]
) -> None:
    """From its text alone, tokenized anew: what another replica is told."""
    prompt, most = chat(engine, "Tell me a story."), 60
    whole = await collect(engine, GenerationRequest(next(ids), prompt, Sampling(max_tokens=most, temperature=0)))
    for told in range(3, len(whole), 4):
        text = text_of(whole[:told])
        said = engine.tokenizer.encode(text, framed=False)
        rest = Sampling(max_tokens=most - len(said), temperature=0)
        going_on = GenerationRequest(next(ids), [*prompt, *said], rest, continued=len(said))
        assert text + text_of(await collect(engine, going_on)) == text_of(whole)


async def test_max_tokens_ends_with_length(engine: Engine, ids: Iterator[str]) -> None:
    deltas = await collect(
        engine, GenerationRequest(next(ids), chat(engine, "Hello"), Sampling(max_tokens=7, ignore_eos=True))
    )
    assert deltas[-1].finish is FinishReason.LENGTH
    assert tokens_of(deltas) == 7


async def test_no_token_is_made_when_none_is_wanted(engine: Engine, ids: Iterator[str]) -> None:
    deltas = await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), Sampling(max_tokens=0)))
    assert [(delta.text, delta.token_count, delta.finish) for delta in deltas] == [("", 0, FinishReason.LENGTH)]


async def test_the_context_ends_an_answer_with_length(engine: Engine, ids: Iterator[str]) -> None:
    prompt = (chat(engine, "Hello") * 300)[: engine.model.max_model_tokens - 5]
    deltas = await collect(engine, GenerationRequest(next(ids), prompt, Sampling(max_tokens=999, ignore_eos=True)))
    assert deltas[-1].finish is FinishReason.LENGTH
    assert tokens_of(deltas) == 5


async def test_a_stop_text_ends_the_answer_and_is_not_in_it(engine: Engine, ids: Iterator[str]) -> None:
    prompt = chat(engine, "What is the capital of France?")
    whole = text_of(
        await collect(
            engine, GenerationRequest(next(ids), prompt, Sampling(max_tokens=30, temperature=0, ignore_eos=True))
        )
    )
    stop = whole[9:13]
    deltas = await collect(
        engine,
        GenerationRequest(
            next(ids), prompt, Sampling(max_tokens=30, temperature=0, ignore_eos=True, stop=("\0never", stop))
        ),
    )
    assert text_of(deltas) == whole[: whole.index(stop)]
    assert deltas[-1].finish is FinishReason.STOP


async def test_what_was_held_back_for_a_stop_text_comes_at_the_end(engine: Engine, ids: Iterator[str]) -> None:
    prompt = chat(engine, "What is the capital of France?")
    plain = Sampling(max_tokens=12, temperature=0, ignore_eos=True)
    held = Sampling(max_tokens=12, temperature=0, ignore_eos=True, stop=("x" * 40,))
    whole = text_of(await collect(engine, GenerationRequest(next(ids), prompt, plain)))
    assert text_of(await collect(engine, GenerationRequest(next(ids), prompt, held))) == whole


async def test_choices_are_told_apart(engine: Engine, ids: Iterator[str]) -> None:
    sampling = Sampling(max_tokens=12, ignore_eos=True, choices=3, seed=7, temperature=2)
    deltas = await collect(engine, GenerationRequest(next(ids), NOISE, sampling))
    assert {delta.choice for delta in deltas} == {0, 1, 2}
    assert [tokens_of(deltas, choice) for choice in range(3)] == [12, 12, 12]
    assert sum(delta.finish is not None for delta in deltas) == 3
    assert len({text_of(deltas, choice) for choice in range(3)}) > 1


async def test_several_greedy_choices_are_equal(engine: Engine, ids: Iterator[str]) -> None:
    prompt = chat(engine, "Hello")
    both = await collect(engine, GenerationRequest(next(ids), prompt, Sampling(max_tokens=8, temperature=0, choices=2)))
    one = await collect(engine, GenerationRequest(next(ids), prompt, Sampling(max_tokens=8, temperature=0)))
    assert text_of(both, 0) == text_of(one)


async def test_a_seed_makes_sampling_repeatable(engine: Engine, ids: Iterator[str]) -> None:
    seeded = Sampling(max_tokens=24, ignore_eos=True, temperature=2, seed=11)
    other = Sampling(max_tokens=24, ignore_eos=True, temperature=2, seed=12)
    first = text_of(await collect(engine, GenerationRequest(next(ids), NOISE, seeded)))
    assert text_of(await collect(engine, GenerationRequest(next(ids), NOISE, seeded))) == first
    assert text_of(await collect(engine, GenerationRequest(next(ids), NOISE, other))) != first


async def test_an_exclusive_bias_decides_the_token(engine: Engine, ids: Iterator[str]) -> None:
    [token] = engine.tokenizer.encode("a", framed=False)
    sampling = Sampling(max_tokens=5, ignore_eos=True, logit_bias={token: 100.0})
    deltas = await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), sampling))
    assert text_of(deltas) == "aaaaa"


async def test_log_probabilities_come_with_their_tokens(engine: Engine, ids: Iterator[str]) -> None:
    sampling = Sampling(max_tokens=4, temperature=0, ignore_eos=True, top_logprobs=3)
    deltas = await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), sampling))
    places = [place for delta in deltas for place in delta.logprobs or ()]
    assert len(places) == 4
    for place in places:
        assert [entry.logprob for entry in place.top] == sorted((e.logprob for e in place.top), reverse=True)
        assert len(place.top) == 3
        assert place.chosen in place.top
        assert NOT_KNOWN <= place.chosen.logprob <= 0
    assert b"".join(place.chosen.token for place in places).decode() == text_of(deltas)


async def test_log_probabilities_without_alternatives(engine: Engine, ids: Iterator[str]) -> None:
    sampling = Sampling(max_tokens=2, ignore_eos=True, top_logprobs=0)
    deltas = await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), sampling))
    assert [place.top for delta in deltas for place in delta.logprobs or ()] == [(), ()]


async def test_none_come_when_none_are_asked_for(engine: Engine, ids: Iterator[str]) -> None:
    deltas = await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), Sampling(max_tokens=2)))
    assert {delta.logprobs for delta in deltas} == {None}


async def test_the_prompts_log_probabilities_come_once(engine: Engine, ids: Iterator[str]) -> None:
    prompt = chat(engine, "What is the capital of France?")
    sampling = Sampling(max_tokens=3, ignore_eos=True, prompt_logprobs=1, choices=2, seed=1)
    deltas = await collect(engine, GenerationRequest(next(ids), prompt, sampling))
    [places] = [delta.prompt_logprobs for delta in deltas if delta.prompt_logprobs is not None]
    assert deltas[0].prompt_logprobs is places
    assert len(places) == len(prompt)
    assert places[0].chosen.logprob == NOT_KNOWN
    assert b"".join(place.chosen.token for place in places).decode() == engine.tokenizer.decode(prompt)


async def test_an_abort_ends_the_request_and_frees_its_place(engine: Engine, ids: Iterator[str]) -> None:
    ear, name = Ear(enough=3), next(ids)
    engine.submit(GenerationRequest(name, chat(engine, "Tell me everything."), MANY), ear)
    await asyncio.wait_for(ear.heard.wait(), 30)
    engine.abort(name)
    heard = len(ear.deltas)
    assert ear.deltas[-1].finish is FinishReason.ABORT
    load = engine.load()
    assert (load.running, load.waiting, load.stalled_s) == (0, 0, None)
    await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), Sampling(max_tokens=20)))
    assert len(ear.deltas) == heard


async def test_an_abort_before_the_first_token_is_as_good(engine: Engine, ids: Iterator[str]) -> None:
    ear, name = Ear(), next(ids)
    engine.submit(GenerationRequest(name, chat(engine, "Hello"), MANY), ear)
    engine.abort(name)
    engine.abort(name)
    assert [delta.finish for delta in ear.deltas] == [FinishReason.ABORT]


async def test_leaving_a_stream_early_aborts_it(engine: Engine, ids: Iterator[str]) -> None:
    deltas = stream(engine, GenerationRequest(next(ids), chat(engine, "Hello"), MANY))
    await anext(deltas)
    assert engine.load().running + engine.load().waiting == 1
    await deltas.aclose()
    assert engine.load().running + engine.load().waiting == 0


async def test_an_unknown_id_is_not_aborted(engine: Engine) -> None:
    engine.abort("req_unknown")


async def test_a_prompt_that_does_not_fit_is_refused_and_others_go_on(engine: Engine, ids: Iterator[str]) -> None:
    other, long = Ear(), Ear()
    engine.submit(GenerationRequest(next(ids), chat(engine, "Hello"), Sampling(max_tokens=20)), other)
    engine.submit(GenerationRequest(next(ids), chat(engine, "Hello") * 200, Sampling(max_tokens=20)), long)
    await asyncio.wait_for(long.ended.wait(), 30)
    await asyncio.wait_for(other.ended.wait(), 30)
    assert isinstance(long.error, PromptTooLongError)
    assert long.error.max_model_tokens == engine.model.max_model_tokens
    assert other.error is None


@pytest.mark.parametrize(
    ("sampling", "param"),
    [
        (Sampling(temperature=-1), "temperature"),
        (Sampling(temperature=float("nan")), "temperature"),
        (Sampling(top_p=1.5), "top_p"),
        (Sampling(choices=0), "n"),
        (Sampling(choices=129), "n"),
        (Sampling(max_tokens=-1), "max_tokens"),
        (Sampling(stop=("",)), "stop"),
        (Sampling(logit_bias={10**9: 1.0}), "logit_bias"),
        (Sampling(logit_bias={1: 101.0}), "logit_bias"),
        (Sampling(seed=2**63), "seed"),
        (Sampling(top_logprobs=21), "top_logprobs"),
    ],
)
async def test_a_senseless_value_is_refused_by_name(
    engine: Engine, ids: Iterator[str], sampling: Sampling, param: str
) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), sampling))
    assert refusal.value.param == param


@pytest.mark.parametrize("prompt", [[], [-1], [10**9]])
async def test_a_senseless_prompt_is_refused(engine: Engine, ids: Iterator[str], prompt: list[int]) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        await collect(engine, GenerationRequest(next(ids), prompt))
    assert refusal.value.param == "prompt"


async def test_the_extremes_of_every_range_are_taken(engine: Engine, ids: Iterator[str]) -> None:
    sampling = Sampling(
        max_tokens=3,
        temperature=2,
        top_p=0,
        presence_penalty=-2,
        frequency_penalty=2,
        seed=-(2**63),
        logit_bias={0: -100.0},
        stop=("a", "b", "c", "d"),
        top_logprobs=20,
    )
    deltas = await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), sampling))
    assert deltas[-1].finish is not None


async def test_an_unknown_adapter_is_refused(engine: Engine, ids: Iterator[str]) -> None:
    with pytest.raises(UnknownAdapterError):
        await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), adapter="nobody"))


async def test_a_prompt_is_found_in_the_cache_under_the_same_salt_only(engine: Engine, ids: Iterator[str]) -> None:
    prompt = chat(engine, "Please remember all of this: " + "one two three four five six seven " * 12)
    two = Sampling(max_tokens=2, ignore_eos=True)
    before = engine.load()
    cold = await collect(engine, GenerationRequest(next(ids), prompt, two, cache_salt="tenant-a"))
    warm = await collect(engine, GenerationRequest(next(ids), prompt, two, cache_salt="tenant-a"))
    other = await collect(engine, GenerationRequest(next(ids), prompt, two, cache_salt="tenant-b"))
    assert cold[0].cached_tokens == 0
    assert len(prompt) // 2 < warm[0].cached_tokens < len(prompt)
    assert other[0].cached_tokens == 0
    after = engine.load()
    assert after.prefix_query_tokens - before.prefix_query_tokens >= 3 * len(prompt) - 3
    assert after.prefix_hit_tokens - before.prefix_hit_tokens == warm[0].cached_tokens


async def test_the_engines_counter_is_the_sum_of_what_requests_were_given(engine: Engine, ids: Iterator[str]) -> None:
    """Also of several choices, of those that stop early, of what is left unread, and of what is aborted."""
    before = engine.load().generated_tokens
    ears = [Ear(enough=20) for _ in range(9)]
    shapes = [
        Sampling(max_tokens=30, ignore_eos=True),
        Sampling(max_tokens=12, ignore_eos=True, choices=3, temperature=1, seed=1),
        Sampling(max_tokens=200, temperature=0),
    ]
    names = [next(ids) for _ in ears]
    for number, (name, ear) in enumerate(zip(names, ears, strict=True)):
        wanted = MANY if number >= 6 else shapes[number % 3]
        engine.submit(GenerationRequest(name, chat(engine, f"What is {number} and one?"), wanted), ear)
    await asyncio.wait_for(asyncio.gather(*(ear.heard.wait() for ear in ears[6:])), 60)
    for name in names[6:]:
        engine.abort(name)
    await asyncio.wait_for(asyncio.gather(*(ear.ended.wait() for ear in ears)), 60)
    given = sum(tokens_of(ear.deltas, choice) for ear in ears for choice in range(3))
    assert engine.load().generated_tokens - before == given > 200


async def test_the_load_shows_what_runs_and_what_waits(engine: Engine, ids: Iterator[str]) -> None:
    names = [next(ids) for _ in range(20)]
    ears = [Ear() for _ in names]
    generated = engine.load().generated_tokens
    for name, ear in zip(names, ears, strict=True):
        engine.submit(GenerationRequest(name, chat(engine, "Hello"), MANY), ear)
    assert engine.load().running + engine.load().waiting == 20
    await asyncio.wait_for(asyncio.gather(*(ear.heard.wait() for ear in ears[:8])), 60)
    load = engine.load()
    assert load.max_running == 8
    assert 0 < load.running <= 8
    assert load.running + load.waiting == 20
    assert 0 < load.kv_usage < 1
    assert load.generated_tokens > generated
    assert load.stalled_s is not None
    for name in names:
        engine.abort(name)
    load = engine.load()
    assert (load.running, load.waiting, load.stalled_s) == (0, 0, None)


async def test_what_matters_more_runs_sooner(engine: Engine, ids: Iterator[str]) -> None:
    order: list[str] = []
    some = Sampling(max_tokens=40, ignore_eos=True)

    async def run(name: str, priority: int) -> None:
        await collect(engine, GenerationRequest(name, chat(engine, "Hello"), some, priority=priority))
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(19):
            group.create_task(run(next(ids), 10))
        await asyncio.sleep(0)
        urgent = next(ids)
        group.create_task(run(urgent, 0))
    assert order.index(urgent) < 16


async def test_a_full_queue_refuses_and_then_takes_again(engine: Engine, ids: Iterator[str]) -> None:
    names = [next(ids) for _ in range(60)]
    ears = [Ear() for _ in names]
    for name, ear in zip(names, ears, strict=True):
        engine.submit(GenerationRequest(name, chat(engine, "Hello"), Sampling(max_tokens=2)), ear)
    await asyncio.wait_for(asyncio.gather(*(ear.ended.wait() for ear in ears)), 60)
    refused = [ear for ear in ears if ear.error is not None]
    assert 20 <= len(refused) <= 40
    assert {type(ear.error) for ear in refused} == {EngineOverloadedError}
    assert await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), Sampling(max_tokens=2)))


async def test_a_model_that_generates_makes_no_vectors(engine: Engine, ids: Iterator[str]) -> None:
    from services.inference.request import EmbeddingRequest

    assert not engine.model.embeds
    with pytest.raises(InvalidRequestError):
        await engine.embed(EmbeddingRequest(next(ids), [[1, 2, 3]]))


@pytest.mark.usefixtures("shapes")
@pytest.mark.parametrize(
    ("constraint", "fits"),
    [
        (
            JsonSchema('{"type":"object","properties":{"a":{"enum":["x","y"]}},"required":["a"]}'),
            lambda text: json.loads(text)["a"] in ("x", "y"),
        ),
        (Regex(r"\d{3}-\d{4}"), lambda text: len(text) == 8 and text[3] == "-"),
        (Choice(("Paris", "London")), lambda text: text in ("Paris", "London")),
        (Grammar('root ::= "yes" | "no"'), lambda text: text in ("yes", "no")),
    ],
)
async def test_the_answer_has_the_shape_asked_for(
    engine: Engine, ids: Iterator[str], constraint: JsonSchema, fits: object
) -> None:
    sampling = Sampling(max_tokens=60, temperature=0)
    prompt = chat(engine, "What is the capital of France? Answer in JSON.")
    deltas = await collect(engine, GenerationRequest(next(ids), prompt, sampling, constraint))
    assert deltas[-1].finish is FinishReason.STOP
    assert fits(text_of(deltas))  # type: ignore[operator]


@pytest.mark.usefixtures("shapes")
async def test_a_json_object_begins_as_one(engine: Engine, ids: Iterator[str]) -> None:
    deltas = await collect(
        engine, GenerationRequest(next(ids), chat(engine, "Hello"), Sampling(max_tokens=40, seed=1), JsonObject())
    )
    assert text_of(deltas).lstrip().startswith("{")


WEATHER = Function(
    "get_weather",
    "The weather at a place",
    {"type": "object", "properties": {"location": {"type": "string", "maxLength": 20}}, "required": ["location"]},
)
CALL_FORMS = {name: form for name, form in FORMS.items() if form is not None}
HERMES = CALL_FORMS["hermes"]
CAPITAL = JsonSchema('{"type":"object","properties":{"capital":{"type":"string"}},"required":["capital"]}')


async def answer(
    engine: Engine, name: str, text: str, wanted: JsonSchema | None, form: CallForm = HERMES, **choice: Any
) -> tuple[str, list[str]]:
    """The text of an answer, and the arguments of the calls in it."""
    conversation = Conversation([{"role": "user", "content": text}], [WEATHER], **choice)
    prompt = Prompts(engine.tokenizer).chat(conversation).token_ids
    sampling = Sampling(max_tokens=160, temperature=0)
    deltas = await collect(engine, GenerationRequest(name, prompt, sampling, constraint_of(wanted, conversation, form)))
    finder = form.finder(frozenset({WEATHER.name}))
    found = [*(finder.feed(delta.text) for delta in deltas), finder.rest()]
    calls: dict[int, str] = {}
    for part in (part for piece in found for part in piece.parts):
        calls[part.call] = calls.get(part.call, "") + part.arguments
    return "".join(piece.text for piece in found), list(calls.values())


@pytest.mark.usefixtures("shapes")
@pytest.mark.parametrize("choice", [{"choice": "required"}, {"choice": "named", "named": "get_weather"}])
@pytest.mark.parametrize("form", CALL_FORMS.values(), ids=CALL_FORMS)
async def test_a_function_that_must_be_called_is_called(
    engine: Engine, ids: Iterator[str], choice: dict[str, Any], form: CallForm
) -> None:
    asked = "What is the capital of France?"
    text, calls = await answer(engine, next(ids), asked, None, form, **choice, parallel=False)
    assert text == ""
    [arguments] = calls
    assert json.loads(arguments).keys() == {"location"}


@pytest.mark.usefixtures("shapes")
async def test_with_functions_and_a_format_the_answer_is_a_call_or_has_the_format(
    engine: Engine, ids: Iterator[str]
) -> None:
    text, calls = await answer(engine, next(ids), "What is the weather in Berlin?", CAPITAL)
    assert (text, calls) == ("", ['{"location": "Berlin"}'])
    text, calls = await answer(engine, next(ids), "What is the capital of France? Answer in JSON.", CAPITAL)
    assert calls == []
    assert json.loads(text).keys() == {"capital"}


@pytest.mark.usefixtures("shapes")
@pytest.mark.parametrize(
    "constraint",
    [
        JsonSchema('{"type":"nonsense"}'),
        JsonSchema("{"),
        JsonSchema('{"$ref":"#/nowhere"}'),
        Regex("((("),
        Regex(r"(?<=a)b\1"),
        Grammar("root ::= nowhere"),
        StructuralTag('{"x":1}'),
        Choice(()),
    ],
)
async def test_a_senseless_shape_is_refused_and_the_engine_lives(
    engine: Engine, ids: Iterator[str], constraint: JsonSchema
) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), Sampling(max_tokens=5), constraint))
    assert refusal.value.param == "response_format"
    engine.check()
    assert await collect(engine, GenerationRequest(next(ids), chat(engine, "Hello"), Sampling(max_tokens=2)))
