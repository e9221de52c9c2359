"""MiniLM: from token ids to features of a text, in numpy.

The forward pass of a BERT encoder (Devlin et al., 2019, https://arxiv.org/abs/1810.04805, section 3; Vaswani et al.,
2017, section 3.2) with the weights of sentence-transformers/all-MiniLM-L6-v2. Written out here because the alternative,
torch, would make this service's image twenty times larger to run six small layers.

The features are the means, over a text's tokens, of the hidden states after some of the layers. The mean after the last
layer is the model's own sentence vector: what a text is about. Earlier layers still know more of how it is said, which
is what tells "how do I kill a process" from a threat (tools/moderation_head/README.md has the measurements).

A batch is packed, not padded: the tokens of all texts stand in one matrix, so that each weight matrix is read once per
batch and no product is spent on padding; only attention looks at one text at a time. So a text's features do not depend
on what it was batched with, beyond the last bits of float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

import numpy as np

from services.moderation.weights import Array, Rows, Weights

LAYERS: Final = 6
HEADS: Final = 12
WIDTH: Final = 384
INNER: Final = 1536
VOCABULARY: Final = 30522
POSITIONS: Final = 512
_EPSILON: Final = np.float32(1e-12)

# Abramowitz and Stegun, Handbook of Mathematical Functions, formula 7.1.26 for erf: |error| <= 1.5e-7.
_ERF_P: Final = 0.3275911
_ERF_A: Final = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


@dataclass(frozen=True, slots=True)
class Linear:
    """x -> x W^T + b, with W as the file stores it: one row per output."""

    weight: Array
    bias: Array

    @classmethod
    def load(cls, weights: Weights, name: str, width_in: int, width_out: int) -> Linear:
        """Find the two tensors called `name`. Raises `WeightsError`."""
        return cls(weights.tensor(f"{name}.weight", width_out, width_in), weights.tensor(f"{name}.bias", width_out))

    def __call__(self, x: Array) -> Array:
        """Map (tokens, inputs) to (tokens, outputs)."""
        y: Array = x @ self.weight.T
        y += self.bias
        return y


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Each row brought to mean 0 and variance 1, then scaled and shifted (Ba et al., 2016)."""

    scale: Array
    shift: Array

    @classmethod
    def load(cls, weights: Weights, name: str) -> LayerNorm:
        """Find the two tensors called `name`. Raises `WeightsError`."""
        return cls(weights.tensor(f"{name}.weight", WIDTH), weights.tensor(f"{name}.bias", WIDTH))

    def __call__(self, x: Array) -> Array:
        """Map (tokens, WIDTH) to the same shape."""
        y: Array = x - x.mean(axis=1, keepdims=True)
        y /= np.sqrt(np.square(y).mean(axis=1, keepdims=True) + _EPSILON)
        y *= self.scale
        y += self.shift
        return y


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer layer: attention, then the inner network, each added to its input and normalised."""

    query: Linear
    key: Linear
    value: Linear
    attended: Linear
    attended_norm: LayerNorm
    inner: Linear
    outer: Linear
    outer_norm: LayerNorm

    @classmethod
    def load(cls, weights: Weights, name: str) -> Layer:
        """Find the tensors of the layer called `name`. Raises `WeightsError`."""
        return cls(
            query=Linear.load(weights, f"{name}.attention.self.query", WIDTH, WIDTH),
            key=Linear.load(weights, f"{name}.attention.self.key", WIDTH, WIDTH),
            value=Linear.load(weights, f"{name}.attention.self.value", WIDTH, WIDTH),
            attended=Linear.load(weights, f"{name}.attention.output.dense", WIDTH, WIDTH),
            attended_norm=LayerNorm.load(weights, f"{name}.attention.output.LayerNorm"),
            inner=Linear.load(weights, f"{name}.intermediate.dense", WIDTH, INNER),
            outer=Linear.load(weights, f"{name}.output.dense", INNER, WIDTH),
            outer_norm=LayerNorm.load(weights, f"{name}.output.LayerNorm"),
        )

    def __call__(self, x: Array, texts: Sequence[slice]) -> Array:
        """Map (tokens, WIDTH) to the same shape; `texts` says which tokens may see each other."""
        query, key, value = self.query(x), self.key(x), self.value(x)
        mixed = np.empty_like(x)
        for text in texts:
            mixed[text] = attention(query[text], key[text], value[text])
        x = self.attended_norm(self.attended(mixed) + x)
        return self.outer_norm(self.outer(gelu(self.inner(x))) + x)


@dataclass(frozen=True, slots=True)
class Encoder:
    """The model up to the last of the layers in `taps`, the layers (from 1) whose states become features."""

    words: Rows
    positions: Array
    embedding_norm: LayerNorm
    layers: tuple[Layer, ...]
    taps: tuple[int, ...]

    @classmethod
    def load(cls, weights: Weights, taps: Sequence[int]) -> Encoder:
        """Find the model in `weights`, whose tensors stay where they are.

        Raises:
            ValueError: `taps` are not layers of the model, in ascending order.
            WeightsError: the file is of another model.
        """
        if not taps or not all(before < after for before, after in pairwise((0, *taps, LAYERS + 1))):
            raise ValueError(f"features cannot be taken after the layers {list(taps)} of {LAYERS}")
        # A text is always of the one segment type 0: its embedding is added to every position's once, here.
        segment = weights.tensor("embeddings.token_type_embeddings.weight", 2, WIDTH)[0]
        return cls(
            words=weights.rows("embeddings.word_embeddings.weight", VOCABULARY, WIDTH),
            positions=weights.tensor("embeddings.position_embeddings.weight", POSITIONS, WIDTH) + segment,
            embedding_norm=LayerNorm.load(weights, "embeddings.LayerNorm"),
            layers=tuple(Layer.load(weights, f"encoder.layer.{index}") for index in range(taps[-1])),
            taps=tuple(taps),
        )

    def features(self, texts: Sequence[Sequence[int]]) -> Array:
        """Answer each text's features, shape (len(texts), len(taps) * WIDTH).

        A text is its token ids with the model's [CLS] and [SEP]: at least one and at most POSITIONS of them.

        Raises:
            ValueError: a text is empty or too long.
            IndexError: an id is outside of the vocabulary.
        """
        lengths = [len(text) for text in texts]
        if not all(1 <= length <= POSITIONS for length in lengths):
            raise ValueError(f"texts must have 1 to {POSITIONS} tokens each; these have {lengths}")
        if not texts:
            return np.empty((0, len(self.taps) * WIDTH), np.float32)
        slices = [slice(start, end) for start, end in pairwise(accumulate(lengths, initial=0))]
        x = self.words.take(np.concatenate([np.asarray(text, np.int64) for text in texts]))
        for text, length in zip(slices, lengths, strict=True):
            x[text] += self.positions[:length]
        x = self.embedding_norm(x)
        means: list[Array] = []
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x, slices)
            if number in self.taps:
                means.append(np.stack([x[text].mean(axis=0) for text in slices]))
        return np.hstack(means)


def attention(query: Array, key: Array, value: Array) -> Array:
    """Scaled dot-product attention of one text with itself, all heads; shapes (tokens, WIDTH)."""
    scores: Array = heads(query) @ heads(key).swapaxes(1, 2)
    scores *= np.float32((WIDTH // HEADS) ** -0.5)
    scores -= scores.max(axis=2, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=2, keepdims=True)
    return (scores @ heads(value)).swapaxes(0, 1).reshape(query.shape)


def heads(x: Array) -> Array:
    """View (tokens, WIDTH) as (HEADS, tokens, WIDTH / HEADS)."""
    return x.reshape(len(x), HEADS, -1).swapaxes(0, 1)


def gelu(x: Array) -> Array:
    """Replace x by x Phi(x), Phi the normal distribution (Hendrycks and Gimpel, 2016).

    Computed in place as max(x, 0) - |x| Phi(-|x|), because the approximation of erf gives the tail of Phi directly.
    """
    size = np.abs(x)
    t = size * np.float32(_ERF_P * 2**-0.5)
    t += 1
    np.reciprocal(t, out=t)
    tail = t * np.float32(_ERF_A[0])
    for coefficient in _ERF_A[1:]:
        tail += np.float32(coefficient)
        tail *= t
    tail *= size
    np.square(size, out=size)
    size *= np.float32(-0.5)
    tail *= np.exp(size, out=size)
    tail *= np.float32(0.5)
    np.maximum(x, 0, out=x)
    x -= tail
    return x
