"""Settings of the gateway."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from chassis.settings import ServiceSettings, service_config


class Settings(ServiceSettings):
    """Where the gateway listens, whom it calls, and its bounds."""

    model_config = service_config("gateway")

    http_listen: str = "127.0.0.1:8000"
    """Address of the public HTTP API: `host:port` or `unix:/path`. Put TLS in front of anything but loopback."""

    admin_listen: str | None = None
    """Address of the admin API (`/v1/organization`), apart from the public one so that it can stay unexposed:
    `host:port` or `unix:/path`. Unset: it is not served."""

    auth_address: str
    """gRPC address of auth."""

    ratelimit_address: str
    """gRPC address of ratelimit."""

    router_address: str
    """gRPC address of router."""

    moderation_address: str
    """gRPC address of moderation."""

    billing_address: str
    """gRPC address of billing."""

    jobs_address: str
    """gRPC address of jobs."""

    journal_path: Path
    """File of the usage journal. Its folder must survive restarts of the process."""

    auth_timeout_s: float = 1.0
    """Longest wait for auth about a key that is not cached."""

    admin_timeout_s: float = 5.0
    """Longest wait for the service that an admin request is about."""

    ratelimit_timeout_s: float = 0.1
    """Longest wait for a reservation; then the gateway goes by its own meters. Above what
    ratelimit waits for Valkey."""

    router_timeout_s: float = 1.0
    """Longest wait for a placement where there is room. A router that takes longer is away."""

    queue_timeout_s: float = Field(default=30.0, ge=0, le=600)
    """Longest wait for room, also for a model's first replica. 0: what finds none is refused at once."""

    moderation_timeout_s: float = 3.0
    """Longest wait for a verdict that a project's policy asks for."""

    moderation_request_timeout_s: float = 60.0
    """Longest wait for the verdicts of a request to /v1/moderations. A megabyte takes a processor about that long."""

    billing_timeout_s: float = 5.0
    """Longest wait for billing's acknowledgement of a batch; nobody but the shipper waits for it."""

    budget_timeout_s: float = 0.5
    """Longest wait for billing to tell what may be spent, for an organisation of which it was not asked lately."""

    capped_completion_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of an answer whose request names no maximum and whose spending a budget binds: that much money is
    held while it runs. Unset: as much as the model's context, or 131,072 while no replica has told that."""

    jobs_timeout_s: float = 2.0
    """Longest wait for jobs to keep an answer, or to find a kept one."""

    first_token_timeout_s: float = 60.0
    """Longest wait for the first token from a replica, its queue included, before another replica is tried."""

    idle_timeout_s: float = 30.0
    """Longest silence between two tokens before the stream is given up."""

    request_timeout_s: float = 600.0
    """Longest life of a request. The official SDKs wait as long by default."""

    keep_alive_s: float = Field(default=10.0, gt=0)
    """How long a streamed request is silent before it gets a comment, and, before its first token, the head of its
    answer: from then on a failure is an event and not a status."""

    stalled_reader_s: float = 60.0
    """How long a client may leave an answer unread before its connection is cut."""

    stream_buffer_bytes: int = Field(default=262_144, ge=4096)
    """Text that may wait for one slow client before its request is aborted."""

    max_body_bytes: int = Field(default=4 * 2**20, ge=1024)
    """Largest request body."""

    max_connections: int = Field(default=4096, ge=1)
    """Connections served at once; more get a 503."""

    trusted_proxy_hops: int = Field(default=0, ge=0, le=8)
    """Proxies before the public API that append to `X-Forwarded-For`: that many of its last entries are believed when a
    client's address matters (keys restricted to addresses, wrong keys). 0: the address is the connection's."""

    admin_trusted_proxy_hops: int = Field(default=0, ge=0, le=8)
    """The same before the admin API, which is rarely behind the public one's proxies: whoever reaches it past them
    would choose an address."""

    wrong_keys_per_minute: int = Field(default=120, ge=0)
    """Refused keys from one address before keys that are not known are refused with 429. 0: no limit."""

    default_completion_tokens: int = Field(default=256, ge=1)
    """Tokens reserved for a completion without a maximum, until enough answers were seen to forecast better."""

    retry_budget: float = Field(default=0.2, ge=0, le=1)
    """Second attempts as a share of the requests of the last ten seconds, at the most. 0: none is tried twice, and none
    goes on elsewhere."""

    retry_least: int = Field(default=10, ge=1)
    """Second attempts in ten seconds that are allowed however few requests there were."""

    migrate_least: int = Field(default=100, ge=1)
    """Answers that may go on elsewhere in ten seconds however few requests there were: about as many as one replica
    runs for a gateway. More may if they are no more than `retry_budget` of the requests."""

    migrate: bool = True
    """Go on with plain text on another replica when one is lost in the middle of it. False: the stream ends with an
    error. What has functions, a format, log probabilities or several choices always does."""

    idempotency_bytes: int = Field(default=64 * 2**20, ge=0)
    """Memory for the answers of requests with an `Idempotency-Key`, kept for a day at the most. 0: the header is
    ignored."""

    openapi: bool = True
    """Serve /openapi.json and /docs."""

    @field_validator("journal_path")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError("must be an absolute path")
        return value
