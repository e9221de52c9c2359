"""The tensors of one safetensors file, mapped into memory and never copied.

The format (https://github.com/huggingface/safetensors, "Format"): eight bytes of little-endian header length, a JSON
header that gives each tensor's type, shape and byte offsets, then the bytes. The `safetensors` package would copy every
tensor it hands out. Here the matrices are views of the page cache: they cost their pages once per machine, however many
replicas run on it, and the kernel can take them back.
"""

from __future__ import annotations

import json
import os
import weakref
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_TYPE: Final = "F32"
_LENGTH_BYTES: Final = 8
_LONGEST_HEADER_BYTES: Final = 16 << 20


class WeightsError(Exception):
    """The weights file is not what its header, or the model, says it is."""


class Weights:
    """The float32 tensors of the safetensors file at `path`.

    Raises:
        OSError: the file cannot be read.
        WeightsError: it is not a safetensors file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes = np.memmap(path, mode="r", dtype=np.uint8)
        length = int.from_bytes(self._bytes[:_LENGTH_BYTES].tobytes(), "little")
        if not 2 <= length <= min(_LONGEST_HEADER_BYTES, self._bytes.size - _LENGTH_BYTES):
            raise WeightsError(f"{path} is not a safetensors file: its header would be {length} bytes long")
        self._start = _LENGTH_BYTES + length
        try:
            self._header = json.loads(self._bytes[_LENGTH_BYTES : self._start].tobytes())
        except ValueError as error:
            raise WeightsError(f"{path} is not a safetensors file: its header is not JSON") from error

    def tensor(self, name: str, *shape: int) -> Array:
        """Answer the tensor `name` as a read-only view.

        Raises:
            WeightsError: it is absent, is not float32, or has another shape than `shape`.
        """
        start, end = self._extent(name, shape)
        return self._bytes[start:end].view(np.float32).reshape(shape)

    def rows(self, name: str, count: int, width: int) -> Rows:
        """Answer the matrix `name` of `count` rows, of which only some are wanted at a time.

        Raises:
            WeightsError: as `tensor`.
        """
        start, _ = self._extent(name, (count, width))
        return Rows(self._path, start, count, width)

    def _extent(self, name: str, shape: tuple[int, ...]) -> tuple[int, int]:
        """Where in the file the bytes of tensor `name` begin and end."""
        entry = self._header.get(name)
        if entry is None:
            raise WeightsError(f"{self._path} has no tensor {name}")
        if entry["dtype"] != _TYPE or tuple(entry["shape"]) != shape:
            raise WeightsError(f"{self._path}: {name} is {entry['dtype']} {entry['shape']}, not {_TYPE} {list(shape)}")
        start, end = (self._start + offset for offset in entry["data_offsets"])
        if end > self._bytes.size or start % 4:
            raise WeightsError(f"{self._path}: {name} is cut off, or not aligned to its element size")
        return start, end


class Rows:
    """Rows of a float32 matrix in a file, read when they are asked for; safe to use from several threads.

    A vocabulary's embedding matrix is larger than all layers together, and a text needs a few dozen rows of it. Mapping
    it would let the kernel map the neighbours of every row touched too, so that soon the whole matrix would count as
    this process's memory; `preadv` costs about a microsecond a row and leaves it in the page cache.
    """

    def __init__(self, path: Path, start: int, count: int, width: int) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # A matrix is not a file to whoever holds it: the descriptor goes when the last of them does.
        weakref.finalize(self, os.close, self._file)
        self._start = start
        self._count, self._width = count, width

    def take(self, indices: NDArray[np.int64]) -> Array:
        """Answer the rows at `indices`, shape (len(indices), width).

        Raises:
            IndexError: an index is outside of the matrix.
            WeightsError: the file has become shorter since it was opened.
        """
        wanted, back = np.unique(indices, return_inverse=True)
        if wanted.size and not 0 <= wanted[0] <= wanted[-1] < self._count:
            raise IndexError(f"row {wanted[0]} or {wanted[-1]} is outside of the {self._count} rows")
        found = np.empty((wanted.size, self._width), np.float32)
        row_bytes = self._width * found.itemsize
        for row, index in zip(found, wanted.tolist(), strict=True):
            if os.preadv(self._file, [row.data], self._start + index * row_bytes) != row_bytes:
                raise WeightsError("the weights file has become shorter")
        return found[back]
