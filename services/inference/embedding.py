"""Vectors: what was asked for, checked; and the engine's vectors, shortened and put into bytes."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence

from services.inference.engine import ModelDescription, Vector
from services.inference.errors import InvalidRequestError

MAX_INPUTS = 2048
MAX_TOKENS = 300_000
"""Of all inputs of a request together (OpenAI's limit)."""


def check_dimensions(wanted: int, model: ModelDescription) -> int:
    """How long the vectors are to be. 0: as long as the model makes them. Raises InvalidRequestError."""
    own = model.embedding_dimensions
    if wanted in (0, own):
        return own
    if not 0 < wanted < own:
        raise InvalidRequestError(f"this model's vectors have at most {own} dimensions", param="dimensions")
    if not model.shortens_embeddings:
        raise InvalidRequestError("this model's vectors cannot be shortened", param="dimensions")
    return wanted


def check_inputs(inputs: Sequence[Sequence[int]]) -> int:
    """How many tokens they have together. Raises InvalidRequestError."""
    if not 1 <= len(inputs) <= MAX_INPUTS:
        raise InvalidRequestError(f"a request embeds 1 to {MAX_INPUTS} inputs", param="input")
    tokens = sum(map(len, inputs))
    if tokens > MAX_TOKENS:
        raise InvalidRequestError(f"a request embeds at most {MAX_TOKENS} tokens", param="input")
    return tokens


def shortened(vector: Vector, dimensions: int) -> Vector:
    """The vector's beginning, made length 1 again."""
    if len(vector) == dimensions:
        return vector
    beginning = vector[:dimensions]
    length = math.sqrt(math.fsum(value * value for value in beginning)) or 1.0
    return array("f", [value / length for value in beginning])


def little_endian(vector: Vector) -> bytes:
    """The values as little-endian float32."""
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    return vector.tobytes()
