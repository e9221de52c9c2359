"""The committed model is small, complete, and what its configuration says."""

import json
import struct
from pathlib import Path

import pytest

from tools.demo_model.conversation import TEMPLATE

MODEL = Path(__file__).parents[4] / "tools" / "demo_model" / "model"
LARGEST_BYTES = 12 * 1024 * 1024


@pytest.fixture(scope="module")
def tensors() -> dict[str, dict[str, object]]:
    with (MODEL / "model.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return header


def test_the_folder_has_all_files_and_fits_into_git() -> None:
    files = {file.name: file.stat().st_size for file in MODEL.iterdir()}
    assert set(files) == {
        "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    assert sum(files.values()) <= LARGEST_BYTES


def test_the_weights_are_bf16_and_of_the_configured_shape(tensors: dict[str, dict[str, object]]) -> None:
    config = json.loads((MODEL / "config.json").read_text())
    assert {tensor["dtype"] for tensor in tensors.values()} == {"BF16"}
    assert tensors["model.embed_tokens.weight"]["shape"] == [config["vocab_size"], config["hidden_size"]]
    assert sum(name.endswith("q_proj.weight") for name in tensors) == config["num_hidden_layers"]
    assert 3_600_000 < sum(_size(tensor["shape"]) for tensor in tensors.values()) < 3_700_000


def test_the_configuration_is_one_that_vllm_runs_on_a_cpu() -> None:
    config = json.loads((MODEL / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["head_dim"] == 64
    assert config["tie_word_embeddings"] is True


def test_the_model_carries_the_chat_template_it_was_trained_with() -> None:
    assert (MODEL / "chat_template.jinja").read_text() == TEMPLATE.read_text()


def test_tool_calls_are_one_token_that_clients_can_see() -> None:
    tokenizer = json.loads((MODEL / "tokenizer.json").read_text())
    added = {token["content"]: token for token in tokenizer["added_tokens"]}
    assert added["<tool_call>"]["special"] is False
    assert added["<|im_end|>"] | {"id": 2, "special": True} == added["<|im_end|>"]


def _size(shape: object) -> int:
    assert isinstance(shape, list)
    size = 1
    for side in shape:
        size *= side
    return size
