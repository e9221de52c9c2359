"""The format of an API key: what a key looks like, whether a text can be one, and what may be stored or shown of it.

`sk-<kind>-` + `cap` + 27 base62 characters (160 random bits) + 6 base62 characters of CRC-32 over all before them. The
prefix and the marker make leaked keys findable by scanners, the checksum lets a wrong key be refused without asking
anyone, and the alphabet lets a double click select the whole.

The scanners' pattern: `sk-(proj|svcacct|admin)-cap[0-9A-Za-z]{33}`.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from typing import Literal

Kind = Literal["proj", "svcacct", "admin"]

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MARKER = "cap"
_RANDOM_CHARACTERS = 27
_CHECK_CHARACTERS = 6
_PATTERN = re.compile(r"sk-(?:proj|svcacct|admin)-cap[0-9A-Za-z]{33}", re.ASCII)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECK_CHARACTERS)


def mint(kind: Kind, entropy: Callable[[int], bytes]) -> str:
    """Make a new key from 20 bytes of `entropy` (a cryptographic source such as `secrets.token_bytes`)."""
    random = _base62(int.from_bytes(entropy(20), "big"), _RANDOM_CHARACTERS)
    body = f"sk-{kind}-{_MARKER}{random}"
    return body + _check(body)


def well_formed(key: str) -> bool:
    """Say whether `key` could have been minted: pattern and checksum. Costs the same for every text of its length."""
    return _PATTERN.fullmatch(key) is not None and _check(key[:-_CHECK_CHARACTERS]) == key[-_CHECK_CHARACTERS:]


def digest(key: str) -> bytes:
    """SHA-256 of the key, 32 bytes: the only form in which a key leaves the process that received it."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def redact(key: str) -> str:
    """Show as much of a key as OpenAI's error message does: its first 8 and last 4 characters.

    Texts of up to 12 characters are no keys of anyone's and are shown as typed.
    """
    if len(key) <= 12:
        return key
    return f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}"
