"""Which models a caller may use."""

from __future__ import annotations

import pytest

from services.gateway.caller import Caller


@pytest.mark.parametrize(
    ("allowed", "denied", "names", "expected"),
    [
        ((), (), ("a",), True),
        (("a",), (), ("a",), True),
        (("a",), (), ("b",), False),
        (("a",), (), ("alias", "a"), True),
        ((), ("a",), ("a",), False),
        ((), ("a",), ("alias", "a"), False),
        ((), ("alias",), ("alias", "a"), False),
        ((), ("a",), ("b",), True),
        (("a",), ("a",), ("a",), False),
    ],
)
def test_one_name_that_is_allowed_is_enough_and_so_is_one_that_is_denied(
    allowed: tuple[str, ...], denied: tuple[str, ...], names: tuple[str, ...], expected: bool
) -> None:
    caller = Caller(
        "org-1",
        "proj_1",
        "key_1",
        "user-1",
        frozenset("*"),
        frozenset(allowed),
        "off",
        (),
        None,
        "user",
        frozenset(denied),
    )
    assert caller.may_use(*names) is expected
