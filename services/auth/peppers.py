"""How the digest of a key becomes what is stored: HMAC-SHA-256(pepper, SHA-256(key)).

The pepper is a secret outside the database, so a stolen dump cannot even confirm a key that leaked elsewhere. A slow
hash would add nothing: a key has 160 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

SHORTEST = 32
MOST = 4


@dataclass(frozen=True, slots=True)
class Pepper:
    """One secret. `id` names it in rows and gives nothing away."""

    id: str
    secret: bytes = field(repr=False)

    def stored(self, digest: bytes) -> bytes:
        """Turn a key's SHA-256 into what the database holds."""
        return hmac.digest(self.secret, digest, hashlib.sha256)


def parse(text: str) -> tuple[Pepper, ...]:
    """Read a pepper file: one secret per line, the current one first, then those that older rows still need.

    Raises:
        ValueError: no secret, too many, one shorter than 32 characters, or one twice. It quotes none.
    """
    secrets = [line.strip() for line in text.splitlines() if line.strip()]
    if not 1 <= len(secrets) <= MOST or len(set(secrets)) < len(secrets):
        raise ValueError(f"a pepper file has 1 to {MOST} different secrets, one per line")
    if any(len(secret) < SHORTEST for secret in secrets):
        raise ValueError(f"a pepper has at least {SHORTEST} characters")
    return tuple(Pepper(_id(secret.encode()), secret.encode()) for secret in secrets)


def _id(secret: bytes) -> str:
    return hmac.digest(secret, b"pepper id", hashlib.sha256).hex()[:8]


def matching(peppers: Sequence[Pepper], pepper_id: str, stored: bytes, digest: bytes) -> bool:
    """Say whether a row's `stored` value is that of `digest`, in a time that does not depend on where they differ."""
    return any(pepper.id == pepper_id and hmac.compare_digest(pepper.stored(digest), stored) for pepper in peppers)
