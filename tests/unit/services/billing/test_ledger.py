"""What one side owes, the other earns."""

from hypothesis import given
from hypothesis import strategies as st

from services.billing.ledger import Account, legs


@given(amount=st.integers(1, 2**62))
def test_the_legs_of_an_event_sum_to_zero(amount: int) -> None:
    entered = legs("req_1", "org-1", amount)
    assert sum(leg.amount_nanousd for leg in entered) == 0
    assert [leg.leg for leg in entered] == [1, 2]
    assert {leg.account: leg.amount_nanousd for leg in entered} == {
        Account.RECEIVABLE: amount,
        Account.REVENUE: -amount,
    }
    assert {(leg.transaction_id, leg.organization_id) for leg in entered} == {("req_1", "org-1")}


def test_what_costs_nothing_moves_nothing() -> None:
    assert legs("req_1", "org-1", 0) == ()
