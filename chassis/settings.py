"""Settings every service has, and how they are read: once, from the environment, strictly.

A variable with the service's prefix that names no setting is an error: a typo must not silently mean the default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.clock import Clock, OffsetClock, SystemClock

S = TypeVar("S", bound="ServiceSettings")


class SettingsError(Exception):
    """The environment does not make valid settings; the text says which variable and why, a line each."""


def service_config(name: str) -> SettingsConfigDict:
    """Build the pydantic configuration of service `name`: prefix `CAPSTAN_<NAME>_`, frozen, nothing unknown."""
    return SettingsConfigDict(
        env_prefix=f"CAPSTAN_{name.upper()}_", frozen=True, extra="forbid", use_attribute_docstrings=True
    )


class ServiceSettings(BaseSettings):
    """What the life of every service depends on. Read once, in `__main__`, and passed on."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    listen: str = ""
    """gRPC address: `unix:/path` or `host:port`. Empty: the service offers no gRPC."""

    ops_listen: str = "127.0.0.1:0"
    """HTTP address of /livez, /readyz and /metrics: `unix:/path` or `host:port` (port 0: any free one). Internal."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severity that is logged."""

    log_format: Literal["json", "text"] = "json"
    """One JSON object a line, or text for people."""

    drain_delay_s: float = 0.0
    """Seconds between turning unready and refusing new calls, so that balancers have noticed. 0 on one machine."""

    grace_s: float = 30.0
    """Seconds that calls in flight have to finish once new ones are refused."""

    otlp_endpoint: str | None = None
    """Where spans go: `http://host:4317` (OTLP over gRPC). Unset: no tracing, at no cost."""

    trace_sample_ratio: float = 0.01
    """Share of requests that start a trace here, 0 to 1; a caller's decision is followed."""

    transport: Literal["local", "tls", "mesh"] = "local"
    """How gRPC connections are secured. local: unix sockets and loopback only. tls: mutual TLS with the certificates in
    `tls_folder`. mesh: plain, because a service mesh encrypts and authenticates every connection."""

    tls_folder: Path | None = None
    """Folder with `tls.crt`, `tls.key` and `ca.crt` (PEM), looked at again every 5 s at the most. Required for tls."""

    callers: tuple[str, ...] = ()
    """With tls: names in certificates that may call this service, as JSON: `["gateway"]`. Empty: whoever has a
    certificate of the CA."""

    max_connection_age_s: float | None = Field(default=None, gt=0)
    """Seconds after which a gRPC client is asked to connect anew, so that it finds new replicas of this service; calls
    that run are not disturbed. Unset: never."""

    clock_offset_file: Path | None = None
    """File with seconds to add to the machine's clock, looked at whenever the time is asked for: to rehearse the turn
    of a month, or what a wrong clock does. Durations are not affected. Unset, as it should be: the machine's clock."""

    parent_fd: int | None = None
    """File descriptor of a pipe: when its other end closes, the service stops. The local launcher uses it so that no
    process outlives it. Unset: not watched."""

    def clock(self) -> Clock:
        """Answer the clock to go by."""
        return SystemClock() if self.clock_offset_file is None else OffsetClock(self.clock_offset_file)

    @field_validator("listen", "ops_listen")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not value.startswith("unix:/"):
            host, _, port = value.rpartition(":")
            if not host or not port.isdigit() or int(port) > 65535:
                raise ValueError("must be `unix:/absolute/path` or `host:port`")
        return value

    @model_validator(mode="after")
    def _secured(self) -> ServiceSettings:
        if (self.transport == "tls") != (self.tls_folder is not None):
            raise ValueError("`transport` tls and `tls_folder` need each other")
        if self.callers and self.transport != "tls":
            raise ValueError("`callers` can only be told apart with `transport` tls")
        return self


class DatabaseSettings(ServiceSettings):
    """What a service with a schema in PostgreSQL has besides."""

    dsn_file: Path | None = None
    """File that holds the URL of the PostgreSQL database, `postgresql://user:password@host/name`. Takes precedence over
    `dsn`."""

    dsn: SecretStr = SecretStr("")
    """The same URL itself, where it holds no secret (a unix socket)."""

    def database(self) -> str:
        """Answer the database's URL. Raises `OSError` when its file cannot be read, `ValueError` when there is none."""
        url = self.dsn_file.read_text(encoding="utf-8").strip() if self.dsn_file else self.dsn.get_secret_value()
        if not url:
            prefix = self.model_config.get("env_prefix", "")
            raise ValueError(f"{prefix}DSN_FILE or {prefix}DSN must name a database")
        return url


def load(settings_type: type[S], environ: Mapping[str, str] | None = None) -> S:
    """Read settings from the environment.

    Raises `SettingsError` that names each bad or unknown variable. `environ` is only consulted for unknown names;
    pydantic-settings itself reads `os.environ`.
    """
    prefix = str(settings_type.model_config.get("env_prefix", ""))
    environ = os.environ if environ is None else environ
    known = {f"{prefix}{field}".upper() for field in settings_type.model_fields}
    unknown = sorted(
        name for name in environ if prefix and name.upper().startswith(prefix) and name.upper() not in known
    )
    problems = [f"{name}: no such setting" for name in unknown]
    try:
        settings = settings_type()
    except ValidationError as error:
        problems += [
            f"{prefix}{'.'.join(map(str, detail['loc'])).upper()}: {detail['msg']}" for detail in error.errors()
        ]
        raise SettingsError("\n".join(problems)) from None
    if problems:
        raise SettingsError("\n".join(problems))
    return settings
