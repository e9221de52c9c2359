"""`Idempotency-Key` with the real engine and the real books."""

import uuid
from concurrent.futures import ThreadPoolExecutor

from openai import OpenAI

from tests.contract.suite import Suite, until

STORY = [{"role": "user", "content": "Tell me a story."}]


def test_a_keyed_request_is_in_the_books_once(client: OpenAI, suite: Suite, model: str) -> None:
    """Chance would tell another story the second time."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}

    def ask(_: int) -> tuple[str, str, str | None]:
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=STORY, temperature=1.9, max_tokens=24, extra_headers=headers
        )
        content = raw.parse().choices[0].message.content or ""
        return content, raw.headers["x-request-id"], raw.headers.get("idempotent-replayed")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    answers.append(ask(4))
    assert len({content for content, _, _ in answers}) == 1
    assert sorted(replayed or "" for _, _, replayed in answers) == ["", "true", "true", "true", "true"]
    (paid,) = [request_id for _, request_id, replayed in answers if replayed is None]
    until(lambda: suite.billed([paid]))
    assert suite.billed([request_id for _, request_id, _ in answers]) == {paid: "ok"}
