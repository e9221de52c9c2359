"""What OpenAI's admin API has and this platform does not: each is told so, and is no misspelt URL."""

from __future__ import annotations

import re
from collections.abc import Mapping

UNSERVED: Mapping[str, str] = {
    "certificates": "Certificates of clients (mutual TLS) are the business of what stands in front of the platform.",
    "data_retention": "How long data is kept is set where the platform is installed.",
    "external_keys": "Encryption with keys of your own is a matter of the disks that the platform runs on.",
    "external_storage": "Where files are kept is set where the platform is installed.",
    "hosted_tool_permissions": "No tools are hosted here.",
    "service_tier_settings": "Each request names its own service tier.",
    "workload_identity_providers": "Keys are the only way to sign in.",
    "usage/decisions": "No such models are served.",
}
"""Paths below `/v1/organization/` or below a project there, and why there is nothing."""

_PATH = re.compile(
    r"/v1/organization/(?:projects/[^/]+/)?(" + "|".join(map(re.escape, UNSERVED)) + r")(?:/.*)?", re.DOTALL
)


def why_unserved(path: str) -> str:
    """Answer the sentence about a path; empty when it is none of these."""
    match = _PATH.fullmatch(path)
    return UNSERVED[match[1]] if match else ""
