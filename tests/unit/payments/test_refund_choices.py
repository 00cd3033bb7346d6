"""What a refund does besides moving money: access and stock are choices of their own, with a default each."""

from __future__ import annotations

from typing import Any

import pytest

from services.payments.domain.preview import ItemsChoice, RefundPreview, preview
from services.payments.domain.refund_choices import choice_problems
from shared.contracts.payments import PaymentRefunded, RefundLine, RefundPayment
from shared.core.scenario import START
from tests.unit.payments.examples import PaymentScenario, requested


def paid() -> PaymentScenario:
    return PaymentScenario(requested()).pay()


def of(item: str, amount: int | None = None, **choices: Any) -> RefundPayment:
    return RefundPayment(items=(RefundLine(item=item, amount=amount),), **choices)


def told(payment: PaymentScenario) -> tuple[Any, Any]:
    """Whose access is removed, and whose units go back."""
    (event,) = payment.last.of(PaymentRefunded)
    assert event.remove_offer_access is False
    return event.remove_access, event.restock


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (RefundPayment(), (("1", "2"), ("1", "2"))),
        (RefundPayment(amount=700), ((), ())),
        (of("2"), (("2",), ("2",))),
        (of("2", 500), ((), ())),
        (RefundPayment(remove_access=()), ((), ("1", "2"))),
        (RefundPayment(restock=()), (("1", "2"), ())),
        (RefundPayment(remove_access=("2",), restock=("1",)), (("2",), ("1",))),
        (of("2", remove_access=(), restock=(), refund_payment=False, note="Cash."), ((), ())),
    ],
)
def test_each_choice_has_its_default_and_its_preview(command: RefundPayment, expected: tuple[Any, Any]) -> None:
    payment = paid()
    said = preview(payment.state, command, payment.at)
    assert isinstance(said, RefundPreview)
    assert (said.remove_access.chosen, said.restock.chosen, said.remove_offer_access) == (*expected, None)
    payment.hear(command)
    if command.refund_payment:
        payment.make_refund()
    assert told(payment) == expected


def test_a_preview_says_what_the_default_is() -> None:
    said = preview(paid().state, of("2", remove_access=()), START)
    assert isinstance(said, RefundPreview)
    assert said.remove_access == ItemsChoice(default=("2",), chosen=())
    assert said.restock == ItemsChoice(default=("2",), chosen=("2",))


def test_what_is_not_wholly_refunded_can_be_no_choice() -> None:
    refused = paid().refuses(of("2", 500, remove_access=("2",), restock=("9", "2")))
    assert [(it.field, it.code) for it in refused.problems] == [
        ("remove_access.0", "not_wholly_refunded"),
        ("restock.0", "not_wholly_refunded"),
        ("restock.1", "not_wholly_refunded"),
    ]
    assert refused.text.startswith("Item 2 does not become wholly refunded by this, so its access stays as it is.")


def test_access_that_no_offer_granted_cannot_be_removed() -> None:
    refused = paid().refuses(RefundPayment(reason="whim", remove_offer_access=True))
    assert [it.code for it in refused.problems] == ["unknown_reason", "not_available"]
    assert [*choice_problems(RefundPayment(), ())] == []


def test_only_items_that_become_wholly_refunded_are_affected() -> None:
    """What was decided about item 2 before stays."""
    payment = paid().hear(of("2", remove_access=(), restock=())).make_refund()
    assert told(payment) == ((), ())
    payment.hear(RefundPayment()).make_refund()
    assert told(payment) == (("1",), ("1",))


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_refunds_of_an_item_the_later_request_decides(first: int) -> None:
    """In whatever order the provider makes them."""
    payment = paid().hear(of("2", 1500)).hear(of("2", remove_access=(), restock=()))
    calls = [payment.refunds_open()[first], payment.refunds_open()[1 - first]]
    for call in calls:
        payment.make_refund(call)
    assert told(payment) == ((), ())


def test_the_choices_are_shown_with_the_refund() -> None:
    payment = paid().hear(of("2", restock=()))
    (shown,) = payment.told().refunds
    assert (shown.remove_access, shown.restock, shown.remove_offer_access) == (None, (), False)
