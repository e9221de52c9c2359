"""One supervisor per data folder."""

from pathlib import Path

import pytest

from tools.local import lock
from tools.local.problem import Problem


def test_a_lock_is_held_once_and_says_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = lock.take(path, "123")
    assert first is not None
    with first:
        assert lock.holder(path) == "123"
        assert lock.take(path, "456", patience_s=0) is None
        assert lock.holder(path) == "123"
    assert lock.holder(path) is None


def test_a_lock_that_was_let_go_can_be_taken(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for owner in ("a longer name", "b"):
        held = lock.take(path, owner)
        assert held is not None
        with held:
            assert lock.holder(path) == owner


def test_no_file_is_no_holder(tmp_path: Path) -> None:
    assert lock.holder(tmp_path / "none") is None


def test_waiting_has_a_bound(tmp_path: Path) -> None:
    held = lock.take(tmp_path / "lock", "x")
    assert held is not None
    with held, pytest.raises(Problem, match="earlier run"):
        lock.wait_until_free(tmp_path / "lock", patience_s=0)
    lock.wait_until_free(tmp_path / "lock", patience_s=0)
