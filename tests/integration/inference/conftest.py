"""Cleans up after vLLM, which leaves a ZeroMQ context open when its engine process is killed."""

from __future__ import annotations

import gc
import warnings


def pytest_sessionfinish() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
