"""A usage record survives the way through the journal, also between neighbouring versions."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.usage_record import Endpoint, Outcome, UsageRecord

COUNTS = st.integers(0, 2**62)
RECORDS = st.builds(
    UsageRecord,
    request_id=st.text(min_size=1),
    organization_id=st.text(),
    project_id=st.text(),
    key_id=st.text(),
    owner_id=st.text(),
    model=st.text(),
    endpoint=st.sampled_from(Endpoint),
    start_time=st.floats(0, 4e9),
    finish_time=st.floats(0, 4e9),
    outcome=st.sampled_from(Outcome),
    prompt_tokens=COUNTS,
    cached_prompt_tokens=COUNTS,
    completion_tokens=COUNTS,
    reasoning_tokens=COUNTS,
    usage_estimated=st.booleans(),
)


@given(record=RECORDS)
def test_what_is_written_is_read(record: UsageRecord) -> None:
    assert UsageRecord.from_json(record.to_json()) == record


def test_a_newer_versions_field_is_passed_over_and_an_older_versions_lack_is_filled() -> None:
    fields = orjson.loads(begun().to_json())
    fields["shade"] = "blue"
    del fields["reasoning_tokens"]
    assert UsageRecord.from_json(orjson.dumps(fields).decode()) == begun()


def test_what_is_begun_is_worth_its_estimated_prompt_and_says_so() -> None:
    record = begun()
    assert record.outcome is Outcome.RECOVERED
    assert record.usage_estimated
    assert (record.prompt_tokens, record.completion_tokens) == (11, 0)
    assert record.finish_time == record.start_time == 1_700_000_000.5


def test_what_ended_keeps_who_and_when_and_takes_the_engines_counts() -> None:
    record = begun().ended(
        Outcome.OK, finish_time=1_700_000_009.0, prompt_tokens=10, completion_tokens=20, cached_prompt_tokens=3
    )
    assert not record.usage_estimated
    assert (record.prompt_tokens, record.completion_tokens, record.cached_prompt_tokens) == (10, 20, 3)
    assert (record.request_id, record.start_time) == ("req_1", 1_700_000_000.5)


def begun() -> UsageRecord:
    return UsageRecord.begun(
        "req_1",
        organization_id="org-1",
        project_id="proj_1",
        key_id="key_1",
        owner_id="user-1",
        model="capstan-demo",
        endpoint=Endpoint.CHAT_COMPLETIONS,
        start_time=1_700_000_000.5,
        prompt_tokens=11,
    )
