"""What clients are told that their completed requests used, kept while they are served: the evidence of I8."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

METERED = ("/chat/completions", "/completions", "/embeddings", "/responses")


def says_what_was_used(method: str, path: str, status: int, headers: Mapping[str, str]) -> bool:
    """Answer whether an answer's `usage` is that of an event: what is replayed is free."""
    return method == "POST" and status == 200 and path.endswith(METERED) and "idempotent-replayed" not in headers


class Told:
    """A file of a line of JSON for each completed request, as `capstan billing verify --told` reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def note(self, request_id: str, usage: dict[str, Any]) -> None:
        """Keep a usage in the words of chats, completions and embeddings, or in those of responses."""
        details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
        line = {
            "request_id": request_id,
            "prompt_tokens": usage["prompt_tokens"] if "prompt_tokens" in usage else usage["input_tokens"],
            "completion_tokens": usage.get("completion_tokens", usage.get("output_tokens", 0)),
        }
        if "cached_tokens" in details:
            line["cached_tokens"] = details["cached_tokens"]
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def answered(self, request_id: str, body: bytes) -> None:
        """Keep what a whole answer said, or a stream to its end. One that broke off said nothing that must hold."""
        if not body.startswith((b"data:", b"event:", b":")):
            document = json.loads(body)
            if isinstance(document, dict) and document.get("usage"):
                self.note(request_id, document["usage"])
            return
        usage, ended = None, False
        for line in body.splitlines():
            if line == b"data: [DONE]":
                ended = True
            elif line.startswith(b"data: "):
                event = json.loads(line[6:])
                if event.get("type") in ("response.completed", "response.incomplete"):
                    usage, ended = event["response"].get("usage"), True
                usage = event.get("usage") or usage
        if usage and ended:
            self.note(request_id, usage)


class _Tapped(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, request_id: str, told: Told) -> None:
        self._stream = stream
        self._request_id = request_id
        self._told = told

    def __iter__(self) -> Iterator[bytes]:
        parts = []
        for part in self._stream:
            parts.append(part)
            yield part
        self._told.answered(self._request_id, b"".join(parts))

    def close(self) -> None:
        self._stream.close()


class TellingTransport(httpx.HTTPTransport):
    """Passes everything through, and keeps what metered answers say was used."""

    def __init__(self, told: Told) -> None:
        super().__init__()
        self._told = told

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if says_what_was_used(request.method, request.url.path, response.status_code, response.headers):
            assert isinstance(response.stream, httpx.SyncByteStream)
            response.stream = _Tapped(response.stream, response.headers["x-request-id"], self._told)
        return response
