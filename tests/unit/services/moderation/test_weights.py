"""Reading a safetensors file without copying it, and refusing what is not one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from services.moderation.weights import Weights, WeightsError

MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(header: object, data: bytes = MATRIX.tobytes(), length: int | None = None) -> Path:
        encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
        encoded += b" " * (-len(encoded) % 8)
        path = tmp_path / "model.safetensors"
        path.write_bytes((len(encoded) if length is None else length).to_bytes(8, "little") + encoded + data)
        return path

    return to_file


def header(dtype: str = "F32", shape: tuple[int, ...] = (4, 3), offsets: tuple[int, int] = (0, 48)) -> object:
    return {"__metadata__": {"format": "pt"}, "matrix": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_a_tensor_is_a_view_that_cannot_be_written(write: Write) -> None:
    tensor = Weights(write(header())).tensor("matrix", 4, 3)
    assert tensor.tolist() == MATRIX.tolist()
    assert not tensor.flags.owndata
    assert not tensor.flags.writeable


def test_rows_come_in_the_order_asked_for_and_as_often(write: Write) -> None:
    rows = Weights(write(header())).rows("matrix", 4, 3)
    assert rows.take(np.array([2, 0, 2])).tolist() == MATRIX[[2, 0, 2]].tolist()
    assert rows.take(np.array([], np.int64)).shape == (0, 3)


@pytest.mark.parametrize("index", [-1, 4])
def test_a_row_outside_of_the_matrix_is_refused(write: Write, index: int) -> None:
    rows = Weights(write(header())).rows("matrix", 4, 3)
    with pytest.raises(IndexError):
        rows.take(np.array([0, index]))


def test_a_file_that_was_cut_while_it_was_open_is_noticed(write: Write) -> None:
    path = write(header())
    rows = Weights(path).rows("matrix", 4, 3)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4)
    with pytest.raises(WeightsError, match="shorter"):
        rows.take(np.array([3]))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        (header(dtype="F16"), "F16"),
        (header(shape=(3, 4)), r"\[3, 4\]"),
        (header(offsets=(0, 52)), "cut off"),
        (header(offsets=(2, 50)), "aligned"),
        ({"other": {}}, "no tensor matrix"),
    ],
)
def test_a_tensor_that_is_not_what_the_model_needs_is_named(write: Write, changed: object, complaint: str) -> None:
    weights = Weights(write(changed, MATRIX.tobytes() + bytes(2)))
    with pytest.raises(WeightsError, match=complaint):
        weights.tensor("matrix", 4, 3)


@pytest.mark.parametrize("length", [0, 2**40])
def test_a_file_with_an_impossible_header_is_refused(write: Write, length: int) -> None:
    with pytest.raises(WeightsError, match="not a safetensors file"):
        Weights(write(header(), length=length))


def test_a_header_that_is_not_json_is_refused(write: Write) -> None:
    with pytest.raises(WeightsError, match="not JSON"):
        Weights(write(b"{no"))


def test_the_file_is_closed_when_the_last_holder_of_its_rows_is_gone(write: Write) -> None:
    rows = Weights(write(header())).rows("matrix", 4, 3)
    descriptor = rows._file
    del rows
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
