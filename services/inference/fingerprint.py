"""A short name for what decides a model's answers: OpenAI's `system_fingerprint`."""

from __future__ import annotations

import hashlib
from pathlib import Path

_SAMPLE_BYTES = 64 * 1024
_SUFFIXES = frozenset({".safetensors", ".json", ".jinja", ".model"})


def fingerprint(folder: str, *facts: str) -> str:
    """Answer "fp_" and ten hexadecimal digits over the model folder and over facts such as versions and precision.

    Of big files only size, beginning and end are read: hashing a hundred gigabytes of weights would take longer than
    loading them, and retraining changes all three parts.
    """
    digest = hashlib.blake2b(digest_size=5)
    for fact in facts:
        digest.update(fact.encode() + b"\0")
    for path in sorted(Path(folder).iterdir()):
        if path.suffix in _SUFFIXES and path.is_file():
            digest.update(path.name.encode() + b"\0" + _sample(path))
    return f"fp_{digest.hexdigest()}"


def _sample(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_SAMPLE_BYTES)
        file.seek(max(size - _SAMPLE_BYTES, 0))
        return size.to_bytes(8, "big") + head + file.read(_SAMPLE_BYTES)
