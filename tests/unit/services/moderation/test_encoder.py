"""The numpy encoder computes what the model's own implementation computes.

minilm_reference.json was made once with transformers 5.19 and torch 2.13 (float32, CPU): for each text the ids of
`AutoTokenizer`, and of the means of `hidden_states[layer]` over the tokens for the layers 2, 4 and 6, divided by their
lengths, the first twelve components.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.moderation.classifier import packaged_model
from services.moderation.encoder import POSITIONS, WIDTH, Encoder, gelu
from services.moderation.weights import Weights
from services.moderation.windows import Windowing, WordPieces

REFERENCE: list[dict[str, Any]] = json.loads(Path(__file__).with_name("minilm_reference.json").read_text("utf-8"))
COMPONENTS = 12


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(Weights(packaged_model() / "model.safetensors"), (2, 4, 6))


def directions(features: np.ndarray) -> np.ndarray:
    """Each layer's mean divided by its length; shape (texts, layers, WIDTH)."""
    means = features.reshape(len(features), 3, WIDTH)
    return means / np.linalg.norm(means, axis=2, keepdims=True)


@pytest.mark.parametrize("recorded", REFERENCE, ids=lambda recorded: recorded["text"][:20])
def test_the_features_are_those_of_the_reference_implementation(encoder: Encoder, recorded: dict[str, Any]) -> None:
    found = directions(encoder.features([recorded["ids"]]))[0, :, :COMPONENTS]
    # One vector's components that differ by 1e-6 leave its cosine within 1e-9 of 1.
    assert found == pytest.approx(np.array(recorded["means"]), abs=1e-6)


def test_the_tokens_are_those_of_the_reference_implementation() -> None:
    whole = WordPieces(packaged_model() / "tokenizer.json", Windowing(longest=510, overlap=0, joined=510))
    for recorded in REFERENCE:
        assert whole.windows(recorded["text"]) == [recorded["ids"]]


def test_a_text_has_the_same_features_alone_and_in_a_batch(encoder: Encoder) -> None:
    texts = [recorded["ids"] for recorded in REFERENCE]
    together = encoder.features(texts)
    for ids, features in zip(texts, together, strict=True):
        assert features == pytest.approx(encoder.features([ids])[0], abs=1e-5)


def test_the_order_of_words_matters(encoder: Encoder) -> None:
    first, second = encoder.features([[101, 3899, 6805, 2158, 102], [101, 2158, 6805, 3899, 102]])
    assert np.abs(first - second).max() > 0.01


def test_only_the_layers_up_to_the_last_tap_are_loaded() -> None:
    shallow = Encoder.load(Weights(packaged_model() / "model.safetensors"), (2,))
    assert len(shallow.layers) == 2
    assert shallow.features([[101, 102]]).shape == (1, WIDTH)


@pytest.mark.parametrize("taps", [(), (0,), (7,), (4, 2), (2, 2)])
def test_taps_that_are_no_layers_are_refused(taps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="features cannot be taken"):
        Encoder.load(Weights(packaged_model() / "model.safetensors"), taps)


@pytest.mark.parametrize("length", [0, POSITIONS + 1])
def test_a_text_that_the_model_cannot_read_is_refused(encoder: Encoder, length: int) -> None:
    with pytest.raises(ValueError, match="tokens"):
        encoder.features([[101, 102], [101] * length])


@pytest.mark.parametrize("token", [-1, 30522])
def test_a_token_outside_of_the_vocabulary_is_refused(encoder: Encoder, token: int) -> None:
    with pytest.raises(IndexError):
        encoder.features([[101, token, 102]])


def test_no_texts_have_no_features(encoder: Encoder) -> None:
    assert encoder.features([]).shape == (0, 3 * WIDTH)


def test_gelu_is_x_times_the_normal_distribution() -> None:
    from math import erf

    points = np.linspace(-8, 8, 4001)
    exact = np.array([0.5 * x * (1 + erf(x / 2**0.5)) for x in points])
    assert gelu(points.astype(np.float32)) == pytest.approx(exact, abs=1e-6)
