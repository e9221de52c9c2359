"""`/docs`: the API's description for people, one page that fetches nothing but `/openapi.json` of the same server.

Its policy says so to the browser: the one script and the one style are named by their hashes, and nothing else runs.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from chassis.ops import AsgiApp, Receive, Scope, Send

PAGE = Path(__file__).with_name("docs_page.html")


def docs_page() -> AsgiApp:
    """Read the page once and serve it."""
    body = PAGE.read_bytes()
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"content-security-policy", policy(body.decode()).encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    ]

    async def serve(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    return serve


def policy(page: str) -> str:
    """Allow what stands in the page and its one request (Content Security Policy, level 2)."""
    allowed = {
        tag: " ".join(f"'sha256-{_hash(text)}'" for text in re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL))
        for tag in ("script", "style")
    }
    return (
        f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
