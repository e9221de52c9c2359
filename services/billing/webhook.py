"""Telling somebody else's server: one signed POST, after the Standard Webhooks specification (standardwebhooks.com).

`webhook-signature` is "v1," and the base64 of HMAC-SHA-256 over "id.timestamp.body"; a secret is "whsec_" and base64.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import http.client
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_S = 10.0
SECRET_PREFIX = "whsec_"  # noqa: S105 - the public beginning of every secret


class WebhookError(Exception):
    """Not delivered; the text says why."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to tell."""

    url: str
    """http or https."""
    secret: bytes

    async def tell(self, message_id: str, timestamp: int, body: bytes) -> None:
        """POST once, without following redirects; returns when the server answered 2xx.

        Raises:
            WebhookError: it did not, within ten seconds.
        """
        headers = {
            "content-type": "application/json",
            "user-agent": "capstan-billing",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self.secret, message_id, timestamp, body),
        }
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                status = await asyncio.to_thread(self._post, body, headers)
        except (OSError, http.client.HTTPException, TimeoutError) as error:
            raise WebhookError(f"{type(error).__name__}: {error}") from None
        if not 200 <= status < 300:
            raise WebhookError(f"it answered {status}")

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        )
        try:
            connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
            return connection.getresponse().status
        finally:
            connection.close()


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign a message."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def secret_of(text: str) -> bytes:
    """Read a secret: "whsec_" and base64 of 24 to 64 bytes. Raises `ValueError`."""
    try:
        secret = base64.b64decode(text.strip().removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a webhook's secret is `whsec_` and base64") from None
    if not 24 <= len(secret) <= 64:
        raise ValueError("a webhook's secret has 24 to 64 bytes")
    return secret
