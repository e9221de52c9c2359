"""What the journal keeps of a request: who asked, for what, when, and how many tokens it took.

Pure data, so that journal and shipper know no protos; `peers` translates it into the event that billing ingests.
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import Any

import orjson


class Endpoint(enum.StrEnum):
    """Which API was used."""

    CHAT_COMPLETIONS = "chat_completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    MODERATIONS = "moderations"


class Outcome(enum.StrEnum):
    """How a request ended; decides what billing charges."""

    OK = "ok"
    """Completed."""
    CLIENT_CLOSED = "client_closed"
    """The client left; the prompt and what was generated until the abort count."""
    TRUNCATED = "truncated"
    """Our deadline or shutdown cut it; what was delivered counts."""
    ENGINE_ERROR = "engine_error"
    """The engine failed after the first byte; nothing is charged."""
    SERVER_ERROR = "server_error"
    """A fault of ours before the first byte, or a refusal after an engine had begun; nothing is charged."""
    RECOVERED = "recovered"
    """This process died; what the engine counted is charged, or what was delivered at the last checkpoint."""


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One request's usage. Times are unix seconds, counts are 0 or greater."""

    request_id: str
    """"req_…", made by the gateway: the idempotency key of everything that follows from the request."""
    organization_id: str
    project_id: str
    key_id: str
    owner_id: str
    model: str
    """Served name, aliases resolved."""
    endpoint: Endpoint
    start_time: float
    """When it was admitted; decides price version and billing period."""
    finish_time: float
    outcome: Outcome
    prompt_tokens: int = 0
    """Cached ones included; counted once, however many choices."""
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0
    """Summed over choices, reasoning included."""
    reasoning_tokens: int = 0
    usage_estimated: bool = False
    """True when the engine's own count is not known."""
    batch: bool = False
    """True when the request is part of a batch."""
    service_tier: str = "default"
    """Tier it was served in."""
    price_version: int = 0
    """Version of the price book that it was admitted at; 0: not known, billing goes by the start."""

    @classmethod
    def begun(
        cls,
        request_id: str,
        *,
        organization_id: str,
        project_id: str,
        key_id: str,
        owner_id: str,
        model: str,
        endpoint: Endpoint,
        start_time: float,
        prompt_tokens: int,
        batch: bool = False,
        service_tier: str = "default",
        price_version: int = 0,
    ) -> UsageRecord:
        """Make the record to `begin` a request with: what shall be billed if this process dies before its end.

        That is the estimated prompt and no completion, until a checkpoint says how much was delivered. The prompt is
        charged because its work was very likely done; billing takes the engine's own counts instead where it has them.
        """
        return cls(
            request_id,
            organization_id,
            project_id,
            key_id,
            owner_id,
            model,
            endpoint,
            start_time=start_time,
            finish_time=start_time,
            outcome=Outcome.RECOVERED,
            prompt_tokens=prompt_tokens,
            usage_estimated=True,
            batch=batch,
            service_tier=service_tier,
            price_version=price_version,
        )

    def reached(self, *, time: float, prompt_tokens: int, completion_tokens: int) -> UsageRecord:
        """Make the record of a checkpoint: as `begun`, with what was delivered by `time`."""
        return dataclasses.replace(
            self, finish_time=time, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
        )

    def ended(
        self,
        outcome: Outcome,
        *,
        finish_time: float,
        prompt_tokens: int,
        completion_tokens: int,
        cached_prompt_tokens: int = 0,
        reasoning_tokens: int = 0,
        usage_estimated: bool = False,
    ) -> UsageRecord:
        """Make the record to `finish` this request with."""
        return dataclasses.replace(
            self,
            outcome=outcome,
            finish_time=finish_time,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cached_prompt_tokens=cached_prompt_tokens,
            reasoning_tokens=reasoning_tokens,
            usage_estimated=usage_estimated,
        )

    def to_json(self) -> str:
        """Write it as one line of JSON."""
        return orjson.dumps(self).decode()

    @classmethod
    def from_json(cls, text: str) -> UsageRecord:
        """Read what `to_json` wrote, here or in a neighbouring version: unknown fields are passed over."""
        fields: dict[str, Any] = orjson.loads(text)
        fields["endpoint"] = Endpoint(fields["endpoint"])
        fields["outcome"] = Outcome(fields["outcome"])
        return cls(**{name: value for name, value in fields.items() if name in cls.__dataclass_fields__})
