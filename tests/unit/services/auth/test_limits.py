"""The numbers of rate limits, and which of them bind."""

from services.auth.limits import AMOUNTS, COLUMNS, Limit, Numbers, binding, chosen, numbers, of_organization

TIER = Numbers(requests_per_minute=10, tokens_per_minute=20)


def test_a_models_own_numbers_replace_those_of_each_model() -> None:
    table = {"": Numbers(1), "m": Numbers(None, 2)}
    assert chosen(table, "m") == Numbers(None, 2)
    assert chosen(table, "n") == Numbers(1)
    assert chosen({}, "n") == Numbers()


def test_what_is_not_limited_is_filled_and_none_allowed_is_a_limit() -> None:
    assert Numbers(0, None, shadow=True).or_else(TIER) == Numbers(0, 20, shadow=True)


def test_an_organisation_without_numbers_of_its_own_has_its_tiers() -> None:
    assert of_organization(TIER, {"m": Numbers(1)}) == {"": TIER, "m": Numbers(1)}
    assert of_organization(TIER, {"": Numbers(1)}) == {"": Numbers(1)}


def test_all_tables_bind_together() -> None:
    found = binding((("organization", {"": TIER}), ("project", {}), ("key", {"b": Numbers(2), "a": Numbers(1)})))
    assert found == (
        Limit("organization", "", TIER),
        Limit("key", "a", Numbers(1)),
        Limit("key", "b", Numbers(2)),
    )


def test_a_row_is_read_by_the_names_of_its_columns() -> None:
    row = {"organization_id": "org-1", "model": "m", "tokens_per_day": 5, "burst_percent": 7, "failure_mode": "closed"}
    assert numbers(row) == Numbers(tokens_per_day=5, burst_percent=7, failure_mode="closed")
    assert all(getattr(Numbers(), name) is None for name in AMOUNTS)
    assert COLUMNS[len(AMOUNTS) :] == ("shadow", "failure_mode", "burst_percent", "count_rejected")
