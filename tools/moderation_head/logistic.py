"""Logistic regression with an L2 penalty, for several outputs at once, and the choice of operating points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_MEMORY: Final = 12
_MOST_STEPS: Final = 1000
_GRADIENT_TOLERANCE: Final = 1e-4
# The bias is as good as free, but not quite: otherwise an output without examples would have no optimum.
_BIAS_PENALTY: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Fitted:
    """x -> x W + b, with W (features, outputs)."""

    weights: Array
    biases: Array

    def logits(self, x: Array) -> Array:
        """Answer the logits of each row of `x`, shape (rows, outputs)."""
        return x @ self.weights + self.biases


def fit(x: Array, y: Flags, penalty: float) -> Fitted:
    """Minimise the negative log likelihood plus `penalty`/2 times the squared weights.

    `x` is (examples, features), `y` (examples, outputs). Strictly convex, so the answer is the only one.
    """
    padded = np.hstack([x, np.ones((len(x), 1))])
    penalties = np.full((padded.shape[1], 1), penalty)
    penalties[-1] = _BIAS_PENALTY

    def loss(w: Array) -> tuple[float, Array]:
        logits = padded @ w
        value = np.logaddexp(0, logits).sum() - logits[y].sum() + 0.5 * (penalties * w * w).sum()
        slope: Array = padded.T @ (0.5 * (np.tanh(0.5 * logits) + 1) - y) + penalties * w
        return float(value), slope

    w = minimum(loss, np.zeros((padded.shape[1], y.shape[1])))
    return Fitted(w[:-1], w[-1])


def minimum(loss: Callable[[Array], tuple[float, Array]], x: Array) -> Array:
    """Minimise a smooth convex function from `x` by L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.5).

    `loss` answers value and gradient.

    Raises:
        ArithmeticError: no minimum was found.
    """
    value, slope = loss(x)
    pairs: list[tuple[Array, Array]] = []
    for _ in range(_MOST_STEPS):
        if np.abs(slope).max() < _GRADIENT_TOLERANCE:
            return x
        step = _direction(slope, pairs)
        length, descent = 1.0, float((slope * step).sum())
        while True:
            there, slope_there = loss(x - length * step)
            if there <= value - 1e-4 * length * descent:
                break
            length /= 2
            if length < 1e-12:
                raise ArithmeticError("the line search found no descent")
        moved, turned = -length * step, slope_there - slope
        if (moved * turned).sum() > 0:
            pairs = [*pairs[1 - _MEMORY :], (moved, turned)]
        x, value, slope = x + moved, there, slope_there
    raise ArithmeticError(f"no minimum after {_MOST_STEPS} steps")


def _direction(slope: Array, pairs: list[tuple[Array, Array]]) -> Array:
    """The gradient times the approximated inverse Hessian: the two-loop recursion."""
    if not pairs:
        scaled: Array = slope / np.linalg.norm(slope)
        return scaled
    step = slope.copy()
    factors = []
    for moved, turned in reversed(pairs):
        factor = (moved * step).sum() / (moved * turned).sum()
        step -= factor * turned
        factors.append(factor)
    moved, turned = pairs[-1]
    step *= (moved * turned).sum() / (turned * turned).sum()
    for (moved, turned), factor in zip(pairs, reversed(factors), strict=True):
        step += moved * (factor - (turned * step).sum() / (moved * turned).sum())
    return step


def out_of_fold(x: Array, y: Flags, penalty: float, folds: int) -> Array:
    """Answer for each example the logits that a fit without its fold gives it; example i is in fold i mod `folds`."""
    fold = np.arange(len(x)) % folds
    logits = np.empty(y.shape)
    for one in range(folds):
        inside = fold == one
        logits[inside] = fit(x[~inside], y[~inside], penalty).logits(x[inside])
    return logits


def best_threshold(logits: Array, y: Flags) -> float:
    """Answer the threshold on one output's logits that has the best F1, in the middle between two of them."""
    order = np.argsort(-logits)
    caught = np.cumsum(y[order])
    f1 = 2 * caught / (np.arange(1, len(order) + 1) + y.sum())
    # What is equal cannot be told apart, and a threshold needs a logit below it.
    distinct = np.append(np.diff(logits[order]) < 0, False)
    last = int(np.argmax(np.where(distinct, f1, -1)))
    return float(logits[order][last : last + 2].mean())
