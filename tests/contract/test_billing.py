"""What clients are told they used is what their organisation owes, to the nano-dollar."""

from collections import Counter
from typing import Any

from openai import OpenAI

from capstan.billing.v1 import billing_pb2
from tests.contract.suite import Suite, until
from tests.verdicts import SOUND, verdicts
from tools.local.roster import EMBEDDING_NAME

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]


def organization(client: OpenAI) -> str:
    return client.models.with_raw_response.list().headers["openai-organization"]


def usages(client: OpenAI, model: str) -> list[tuple[str, Any]]:
    """Use each endpoint in each manner; answer the model and the usage of each request."""
    chat, text = client.chat.completions.create, client.completions.create
    wanted: dict[str, Any] = {"model": model, "messages": CAPITAL}
    streamed: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    answers = [
        chat(**wanted),
        chat(**wanted, n=3, max_tokens=5),
        chat(**wanted, max_tokens=1),
        *(chat(**wanted) for _ in range(5)),
        text(model=model, prompt=["a b c", "d"], max_tokens=3),
    ]
    found = [(model, answer.usage) for answer in answers]
    found += [(model, list(chat(**wanted, **streamed))[-1].usage)]
    found += [(model, list(text(model=model, prompt="x", max_tokens=3, **streamed))[-1].usage)]
    embedded = client.embeddings.create(model=EMBEDDING_NAME, input=["one", "two three"])
    return [*found, (EMBEDDING_NAME, embedded.usage)]


def half_even(picousd: int) -> int:
    whole, rest = divmod(picousd, 1000)
    return whole + (rest > 500 or (rest == 500 and whole % 2 == 1))


def test_the_account_is_the_sum_of_the_usages(suite: Suite, client: OpenAI, model: str) -> None:
    owner = organization(client)
    until(lambda: _is_settled(suite))
    before = suite.account(owner)
    used = usages(client, model)
    until(lambda: suite.account(owner).event_count >= before.event_count + len(used))
    after = suite.account(owner)
    prices = suite.prices()
    totals: Counter[str] = Counter()
    for name, usage in used:
        price = prices.get(name) or prices["*"]
        completion = getattr(usage, "completion_tokens", 0)
        details = getattr(usage, "prompt_tokens_details", None)
        cached = details.cached_tokens if details else 0
        totals["events"] += 1
        totals["prompt"] += usage.prompt_tokens
        totals["completion"] += completion
        totals["amount"] += half_even(
            (usage.prompt_tokens - cached) * price.input_picousd
            + cached * price.cached_input_picousd
            + completion * price.output_picousd
        )
    assert totals == {
        "events": after.event_count - before.event_count,
        "prompt": after.prompt_tokens - before.prompt_tokens,
        "completion": after.completion_tokens - before.completion_tokens,
        "amount": after.receivable_nanousd - before.receivable_nanousd,
    }
    assert after.parked_count == 0


def _is_settled(suite: Suite) -> bool:
    """Nothing that earlier tests used is still on its way."""
    ended = suite.metric("gateway", "capstan_gateway_requests_total")
    return suite.metric("gateway", "capstan_gateway_journal_shipped") == ended


def test_a_refused_request_costs_nothing(suite: Suite, client: OpenAI, model: str) -> None:
    owner = organization(client)
    until(lambda: _is_settled(suite))
    before = suite.account(owner)
    for body in ({"model": model, "messages": []}, {"model": "gpt-none", "messages": CAPITAL}, {"model": model}):
        assert 400 <= suite.post("/v1/chat/completions", body).status < 500
    long = {"model": model, "messages": [{"role": "user", "content": "word " * 4000}]}
    assert suite.post("/v1/chat/completions", long).status == 400
    assert suite.post("/v1/chat/completions", {"model": model, "messages": CAPITAL}, key="sk-wrong").status == 401
    paid = client.chat.completions.create(model=model, messages=CAPITAL)
    until(lambda: suite.account(owner).event_count > before.event_count)
    after = suite.account(owner)
    assert after.event_count == before.event_count + 1
    assert after.prompt_tokens - before.prompt_tokens == paid.usage.prompt_tokens


def test_an_operator_sees_what_could_not_be_recorded_and_closes_it_with_a_reason(suite: Suite) -> None:
    bad = billing_pb2.UsageEvent(request_id="req_bad", organization_id="org-nobody", model="\x1b[2Jm")
    (receipt,) = suite.ingest(bad)
    assert receipt.status == billing_pb2.RECEIPT_STATUS_PARKED
    (letter,) = suite.operate("parked", "list")["data"]
    assert (letter["request_id"], letter["model"], letter["prompt_tokens"]) == ("req_bad", "\x1b[2Jm", 0)
    assert letter["reason"] == "endpoint 0 is unset or unknown"
    closed = suite.operate("parked", "dismiss", letter["id"], "nobody's")
    assert closed == {"id": letter["id"], "resolution": "dismissed: nobody's"}
    assert suite.operate("parked", "list") == {"data": []}
    assert suite.operate("parked", "retry") == {"recorded": 0, "parked": 0}


def test_the_books_are_sound(suite: Suite) -> None:
    said = suite.sound_books()
    assert verdicts(said) == SOUND
    assert " 0 requests told of" not in said
