"""Our ledger compared with the provider's records."""

from __future__ import annotations

from services.payments.gateways.provider import ProviderMovement
from services.payments.reconciliation import compare

PAID = ProviderMovement("pi_1", 5000, "USD", "o-1")
BACK = ProviderMovement("re_1", -2000, "USD", "o-1")


def problems(ours: list[ProviderMovement], theirs: list[ProviderMovement]) -> list[tuple[str, str]]:
    return [(found.problem, found.reference) for found in compare(ours, theirs)]


def test_books_that_agree() -> None:
    assert problems([PAID, BACK], [BACK, PAID]) == []


def test_a_refund_that_came_back_counts_for_nothing_on_both_sides() -> None:
    assert (
        problems([PAID, ProviderMovement("re_1", 0, "USD", "o-1")], [PAID, ProviderMovement("re_1", 0, "USD", "o-1")])
        == []
    )
    assert problems([PAID], [PAID, ProviderMovement("re_1", 0, "USD", "o-1")]) == []


def test_what_only_one_side_has() -> None:
    assert problems([PAID], []) == [("unknown_to_provider", "pi_1"), ("balance", "USD")]
    assert problems([PAID], [PAID, BACK]) == [("unknown_to_us", "re_1"), ("balance", "USD")]


def test_another_amount() -> None:
    assert problems([PAID], [ProviderMovement("pi_1", 4999, "USD", "o-1")]) == [("amount", "pi_1"), ("balance", "USD")]


def test_an_order_charged_twice_is_named_until_one_charge_is_refunded() -> None:
    second = ProviderMovement("pi_2", 5000, "USD", "o-1")
    assert problems([PAID, second], [PAID, second]) == [("charged_twice", "")]
    refunded = ProviderMovement("re_2", -5000, "USD", "o-1")
    assert problems([PAID, second, refunded], [PAID, second, refunded]) == []


def test_balances_are_by_currency() -> None:
    yen = ProviderMovement("pi_3", 900, "JPY", "o-2")
    assert problems([PAID, yen], [PAID]) == [("unknown_to_provider", "pi_3"), ("balance", "JPY")]


def test_a_strange_charge_is_named_until_it_is_refunded_in_the_dashboard() -> None:
    stray = ProviderMovement("pi_x", 50, "USD", "o-1")
    assert problems([PAID], [PAID, stray]) == [("unknown_to_us", "pi_x"), ("charged_twice", ""), ("balance", "USD")]
    part = ProviderMovement("re_x", -20, "USD", charge="pi_x")
    assert ("unknown_to_us", "pi_x") in problems([PAID], [PAID, stray, part])
    assert problems([PAID], [PAID, stray, part, ProviderMovement("re_y", -30, "USD", charge="pi_x")]) == []
