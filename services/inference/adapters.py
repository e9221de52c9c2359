"""LoRA adapters: which files may be one, and which slots they are in.

Each load gets a number of its own and an inner name made of name and number, because an engine that keys caches and
equality by name would take a retrained adapter for the one it replaced.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from services.inference.errors import (
    AdapterConflictError,
    AdapterMissingError,
    AdapterRejectedError,
    AdaptersFullError,
    UnknownAdapterError,
)

_LONGEST_HEADER = 2**24
# Layers whose input is the hidden state, so that their lora_A is as wide as it.
_READS_HIDDEN = re.compile(r"\b(q_proj|k_proj|v_proj|qkv_proj|gate_proj|up_proj|gate_up_proj)\.lora_A\b")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A loaded adapter."""

    name: str
    path: str
    number: int
    """From 1, never used twice in a process."""

    @property
    def inner_name(self) -> str:
        """Its name inside the engine."""
        return f"{self.name}@{self.number}"


class AdapterSlots:
    """Which adapters are loaded, at most `capacity`. A slot is taken before loading and given back if that fails."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._loading: set[str] = set()
        self._loaded: dict[str, Adapter] = {}
        self._last_number = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names that requests may use, sorted."""
        return tuple(sorted(self._loaded))

    def find(self, name: str) -> Adapter:
        """The adapter of that name. Raises UnknownAdapterError."""
        try:
            return self._loaded[name]
        except KeyError:
            raise UnknownAdapterError("no such adapter is loaded", name=name) from None

    def take(self, name: str, path: str) -> Adapter | None:
        """Take a slot, to be followed by `keep` or `drop`; None when the same is loaded already.

        Raises AdapterConflictError (other files under that name, or being loaded), AdaptersFullError.
        """
        if (loaded := self._loaded.get(name)) is not None:
            if loaded.path == path:
                return None
            raise AdapterConflictError("the name is taken by another adapter", name=name)
        if name in self._loading:
            raise AdapterConflictError("an adapter of that name is being loaded", name=name)
        if len(self._loaded) + len(self._loading) >= self._capacity:
            raise AdaptersFullError(f"all {self._capacity} adapter slots are in use", name=name)
        self._loading.add(name)
        self._last_number += 1
        return Adapter(name, path, self._last_number)

    def keep(self, adapter: Adapter) -> None:
        """The engine has it: requests may use it."""
        self._loading.discard(adapter.name)
        self._loaded[adapter.name] = adapter

    def drop(self, name: str) -> Adapter | None:
        """Give the slot back; answer what was loaded in it."""
        self._loading.discard(name)
        return self._loaded.pop(name, None)


def check_files(name: str, path: str, *, max_rank: int, hidden_size: int) -> None:
    """Refuse a folder that cannot be an adapter of this model, before an engine that may die of it is shown it.

    Only safetensors: other formats can run code when they are read. The widths are checked because vLLM takes an
    adapter of a narrower model without a word. Raises AdapterRejectedError.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise AdapterMissingError("there is no such folder", name=name)
    try:
        config = json.loads((folder / "adapter_config.json").read_bytes())
    except (OSError, ValueError):
        raise AdapterRejectedError("there is no readable adapter_config.json", name=name) from None
    rank = config.get("r") if isinstance(config, dict) else None
    if not isinstance(rank, int) or not 0 < rank <= max_rank:
        raise AdapterRejectedError(f"its rank is not between 1 and {max_rank}", name=name)
    try:
        shapes = tensor_shapes(folder / "adapter_model.safetensors")
    except (OSError, ValueError, KeyError, TypeError):
        raise AdapterRejectedError("there is no readable adapter_model.safetensors", name=name) from None
    widths = {shape[-1] for tensor, shape in shapes.items() if _READS_HIDDEN.search(tensor)}
    if not shapes or widths - {hidden_size}:
        raise AdapterRejectedError("it was made for another model", name=name)


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Names and shapes of the tensors in a safetensors file, from its header alone.

    Raises OSError, or ValueError, KeyError or TypeError when it is no such file.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            raise ValueError("the header is too long")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise TypeError("the header is no object")
    return {tensor: [int(size) for size in about["shape"]] for tensor, about in header.items() if tensor[:2] != "__"}
