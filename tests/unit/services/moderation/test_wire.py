"""The wire's categories and ours are the same, in the same order."""

from __future__ import annotations

from capstan.moderation.v1 import moderation_pb2
from services.moderation.categories import CATEGORIES
from services.moderation.servicer import WIRE


def test_every_category_of_the_wire_is_answered_in_the_order_of_the_enum() -> None:
    assert [moderation_pb2.CATEGORY_UNSPECIFIED, *WIRE] == sorted(moderation_pb2.Category.values())


def test_the_names_follow_the_rule_in_the_proto() -> None:
    for value, category in zip(WIRE, CATEGORIES, strict=True):
        name = moderation_pb2.Category.Name(value).removeprefix("CATEGORY_").lower()
        assert name == category.value.replace("/", "_").replace("-", "_")
