"""Adapter slots and files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from services.inference.adapters import AdapterSlots, check_files, tensor_shapes
from services.inference.errors import (
    AdapterConflictError,
    AdapterMissingError,
    AdapterRejectedError,
    AdaptersFullError,
    UnknownAdapterError,
)

# Comes with the engine's packages.
save_file = pytest.importorskip("safetensors.numpy").save_file


def write(folder: Path, config: object, *, width: int = 32) -> str:
    (folder / "adapter_config.json").write_text(json.dumps(config))
    weights = {
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": np.zeros((4, width), np.float32),
        "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight": np.zeros((4, 96), np.float32),
    }
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return str(folder)


def judge(path: str) -> None:
    check_files("mine", path, max_rank=8, hidden_size=32)


def test_a_slot_is_taken_kept_and_given_back() -> None:
    slots = AdapterSlots(1)
    adapter = slots.take("mine", "/a")
    assert adapter is not None
    assert slots.names == ()
    slots.keep(adapter)
    assert (slots.names, slots.find("mine")) == (("mine",), adapter)
    assert slots.take("mine", "/a") is None
    assert slots.drop("mine") == adapter
    with pytest.raises(UnknownAdapterError):
        slots.find("mine")


def test_a_name_belongs_to_one_path_also_while_it_is_loaded() -> None:
    slots = AdapterSlots(2)
    slots.take("mine", "/a")
    with pytest.raises(AdapterConflictError):
        slots.take("mine", "/a")
    slots.drop("mine")
    again = slots.take("mine", "/b")
    assert again is not None
    slots.keep(again)
    with pytest.raises(AdapterConflictError):
        slots.take("mine", "/a")


def test_what_is_being_loaded_takes_a_slot() -> None:
    slots = AdapterSlots(1)
    slots.take("mine", "/a")
    with pytest.raises(AdaptersFullError):
        slots.take("yours", "/b")
    slots.drop("mine")
    assert slots.take("yours", "/b") is not None


def test_no_number_is_used_twice() -> None:
    slots = AdapterSlots(1)
    names = set()
    for _ in range(3):
        adapter = slots.take("mine", "/a")
        assert adapter is not None
        names.add(adapter.inner_name)
        slots.drop("mine")
    assert len(names) == 3


def test_good_files_pass(tmp_path: Path) -> None:
    judge(write(tmp_path, {"r": 8}))


def test_a_missing_folder_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(AdapterMissingError):
        judge(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("config", [{"r": 9}, {"r": 0}, {"r": "8"}, {}, [], None])
def test_a_rank_out_of_range_is_refused(tmp_path: Path, config: object) -> None:
    with pytest.raises(AdapterRejectedError, match="rank"):
        judge(write(tmp_path, config))


def test_an_adapter_of_another_width_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterRejectedError, match="another model"):
        judge(write(tmp_path, {"r": 8}, width=16))


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x05\0\0\0\0\0\0\0hello"])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, {"r": 8})
    (tmp_path / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(AdapterRejectedError):
        judge(path)


def test_only_the_header_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"r": 8})
    shapes = tensor_shapes(tmp_path / "adapter_model.safetensors")
    assert sorted(shapes.values()) == [[4, 32], [4, 96]]
