"""Vectors: limits, shortening, bytes."""

from __future__ import annotations

import math
import struct
from array import array

import pytest

from services.inference.embedding import check_dimensions, check_inputs, little_endian, shortened
from services.inference.engine import ModelDescription
from services.inference.errors import InvalidRequestError


def model(*, shortens: bool) -> ModelDescription:
    return ModelDescription(256, 1000, "fp_1", embedding_dimensions=384, shortens_embeddings=shortens)


def test_a_model_that_can_shortens() -> None:
    assert check_dimensions(0, model(shortens=True)) == 384
    assert check_dimensions(64, model(shortens=True)) == 64
    assert check_dimensions(384, model(shortens=False)) == 384


@pytest.mark.parametrize(("wanted", "shortens"), [(64, False), (385, True), (-1, True)])
def test_what_it_cannot_is_refused(wanted: int, shortens: bool) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        check_dimensions(wanted, model(shortens=shortens))
    assert refusal.value.param == "dimensions"


def test_inputs_are_counted_and_bounded() -> None:
    assert check_inputs([[1, 2], [3]]) == 3
    for inputs in ([], [[1]] * 2049, [[1] * 300_001]):
        with pytest.raises(InvalidRequestError):
            check_inputs(inputs)


def test_a_shortened_vector_has_length_one() -> None:
    vector = array("f", [0.6, 0.0, 0.8])
    assert list(shortened(vector, 2)) == [1.0, 0.0]
    assert shortened(vector, 3) is vector
    assert math.isclose(sum(value * value for value in shortened(array("f", [3, 4, 5, 6]), 3)), 1, rel_tol=1e-6)
    assert list(shortened(array("f", [0, 0, 1]), 2)) == [0, 0]


def test_values_are_little_endian_floats() -> None:
    assert little_endian(array("f", [1.0, -2.5])) == struct.pack("<2f", 1.0, -2.5)
