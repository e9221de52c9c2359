"""Log lines: structured, with fields from an allow-list, and with secrets cut out wherever they hide."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import TextIO

# The only extras that reach a line. Anything else a caller passes is dropped: a prompt must not slip into a log because
# somebody found it handy while debugging.
FIELDS = frozenset(
    {
        "request_id", "organization_id", "project_id", "key_id", "model", "replica_id", "endpoint", "method", "status",
        "code", "reason", "duration_ms", "prompt_tokens", "cached_tokens", "completion_tokens", "outcome", "count",
        "peer", "service", "attempt", "path", "port",
    }
)  # fmt: skip

_SECRETS = re.compile(
    r"(sk-[A-Za-z0-9_-]{4})[A-Za-z0-9_-]{12,}"  # API keys: the kind stays visible
    r"|(?i:(bearer\s+))[^\s\"',]{8,}"
    r"|((?:postgres(?:ql)?|valkeys?|rediss?)://[^:/@\s]*:)[^@\s]+(?=@)"
)


def redact(text: str) -> str:
    """Replace keys, bearer tokens and passwords in URLs by `[redacted]`."""
    return _SECRETS.sub(lambda match: f"{match[1] or match[2] or match[3] or ''}[redacted]", text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, service, message, allowed fields, and an exception's text."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Build the line."""
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        line |= {
            name: redact(value) if isinstance(value, str) else value
            for name, value in record.__dict__.items()
            if name in FIELDS
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """A line for people, redacted as well."""

    def __init__(self, service: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {service} %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Build the line."""
        extras = " ".join(f"{name}={record.__dict__[name]}" for name in sorted(FIELDS & record.__dict__.keys()))
        return redact(super().format(record) + (f"  {extras}" if extras else ""))


def configure(service: str, level: str, style: str, stream: TextIO | None = None) -> logging.Logger:
    """Send all logging of this process to `stream` (default: stderr) and answer the service's logger."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(service) if style == "json" else TextFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Chatty at INFO, and their lines say nothing of ours.
    for name in ("uvicorn", "uvicorn.error", "grpc", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    return logging.getLogger(f"capstan.{service}")
