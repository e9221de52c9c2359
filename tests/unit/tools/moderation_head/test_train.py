"""How training places the operating points, and what it folds into the head."""

from __future__ import annotations

import numpy as np

from services.moderation.categories import CATEGORIES
from services.moderation.encoder import WIDTH
from services.moderation.head import GATE, OPERATING_POINT, OUTPUTS
from tools.moderation_head.train import PASSING_INNOCENTS, TAPS, operating_points, train

WIDE = len(TAPS) * WIDTH


def test_the_gate_lets_its_share_of_the_innocent_pass() -> None:
    random = np.random.default_rng(3)
    y = np.zeros((400, OUTPUTS), bool)
    y[:200, 0] = y[:200, GATE] = True
    logits = random.normal(size=(400, OUTPUTS)) + 2 * y
    gate = operating_points(logits, y)[GATE]
    assert (logits[200:, GATE] >= gate).mean() == PASSING_INNOCENTS


def test_a_trained_head_flags_from_one_half_what_it_was_shown() -> None:
    random = np.random.default_rng(4)
    y = np.zeros((240, OUTPUTS), bool)
    features = random.normal(size=(240, WIDE)).astype(np.float32) * 3 + 5
    for index in range(120):
        category = index % len(CATEGORIES)
        y[index, category] = y[index, GATE] = True
        features[index, category] += 30
    head = train(features, y)
    flagged = head(features) >= OPERATING_POINT
    assert flagged[np.arange(120), np.arange(120) % len(CATEGORIES)].mean() > 0.95
    assert flagged[120:].any(axis=1).mean() < 0.05
