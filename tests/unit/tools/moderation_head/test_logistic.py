"""The fit is the minimum, and thresholds are the best there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.moderation_head import logistic


def example(count: int = 60, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    x = random.normal(size=(count, width))
    y = np.stack([x[:, 0] + 0.3 * random.normal(size=count) > 0, x[:, 1] - x[:, 2] > 0.5], axis=1)
    return x, y


def loss(x: np.ndarray, y: np.ndarray, weights: np.ndarray, biases: np.ndarray, penalty: float) -> float:
    """Negative log likelihood and penalty, by their definitions."""
    p = 1 / (1 + np.exp(-(x @ weights + biases)))
    return float(-np.log(np.where(y, p, 1 - p)).sum() + penalty / 2 * (weights**2).sum())


def test_the_fit_is_a_minimum() -> None:
    x, y = example()
    fitted = logistic.fit(x, y, penalty=0.5)
    least = loss(x, y, fitted.weights, fitted.biases, 0.5)
    random = np.random.default_rng(8)
    for _ in range(50):
        moved = fitted.weights + 0.01 * random.normal(size=fitted.weights.shape)
        assert loss(x, y, moved, fitted.biases, 0.5) > least


def test_outputs_are_fitted_as_if_alone() -> None:
    x, y = example()
    together, alone = logistic.fit(x, y, 0.5), logistic.fit(x, y[:, :1], 0.5)
    assert together.weights[:, 0] == pytest.approx(alone.weights[:, 0], abs=1e-3)
    assert together.biases[0] == pytest.approx(alone.biases[0], abs=1e-3)


def test_an_output_without_examples_is_fitted_and_never_says_yes() -> None:
    x, y = example()
    assert (logistic.fit(x, np.zeros_like(y), 0.5).logits(x) < -4).all()


def test_more_penalty_means_smaller_weights() -> None:
    x, y = example()
    sizes = [np.abs(logistic.fit(x, y, penalty).weights).sum() for penalty in (0.1, 1.0, 10.0)]
    assert sizes == sorted(sizes, reverse=True)


def test_the_minimum_of_a_known_function_is_found() -> None:
    def bowl(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(((x - 3) ** 2 * [1, 100]).sum()), 2 * (x - 3) * [1, 100]

    assert logistic.minimum(bowl, np.array([-50.0, 80.0])) == pytest.approx([3, 3], abs=1e-4)


def test_a_function_without_a_minimum_is_an_error() -> None:
    with pytest.raises(ArithmeticError):
        logistic.minimum(lambda x: (float(x.sum()), np.ones_like(x)), np.zeros(2))


def test_an_example_is_judged_by_a_fit_that_did_not_see_it() -> None:
    x, y = example(30)
    before = logistic.out_of_fold(x, y, 0.5, folds=3)
    y[0] = ~y[0]
    after = logistic.out_of_fold(x, y, 0.5, folds=3)
    fold = np.arange(30) % 3 == 0
    assert after[fold] == pytest.approx(before[fold], abs=1e-6)
    assert np.abs(after[~fold] - before[~fold]).max() > 0.01


judged = st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: any(flag for _, flag in rows) and len({logit for logit, _ in rows}) > 1
)


@given(judged)
def test_no_threshold_has_a_better_f1_than_the_best(rows: list[tuple[int, bool]]) -> None:
    logits = np.array([logit for logit, _ in rows], float)
    y = np.array([flag for _, flag in rows])

    def f1(threshold: float) -> float:
        flagged = logits >= threshold
        return float(2 * (flagged & y).sum() / (flagged.sum() + y.sum()))

    best = logistic.best_threshold(logits, y)
    assert best not in logits
    assert logits.min() < best < logits.max()
    assert f1(best) == pytest.approx(max(f1(logit) for logit in set(logits.tolist()) - {logits.min()}))
