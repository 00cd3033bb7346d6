"""A preview says what the refund does, and is refused as the refund is."""

from __future__ import annotations

import pytest

from services.payments.domain.preview import RefundPreview, preview
from shared.contracts.payments import PaymentRefunded, RefundLine, RefundPayment
from shared.core import Refused
from shared.core.scenario import START
from tests.unit.payments.examples import PaymentScenario, requested
from tests.unit.payments.test_owed import surplus


def paid() -> PaymentScenario:
    return PaymentScenario(requested()).pay()


def previewed(payment: PaymentScenario, command: RefundPayment) -> RefundPreview:
    found = preview(payment.state, command, payment.at)
    assert isinstance(found, RefundPreview), found
    return found


@pytest.mark.parametrize(
    "command",
    [
        RefundPayment(),
        RefundPayment(amount=700),
        RefundPayment(amount=5000),
        RefundPayment(items=(RefundLine(item="1", amount=100), RefundLine(item="2"))),
        RefundPayment(items=(RefundLine(item="1"),), refund_payment=False, note="In cash."),
    ],
)
def test_the_refund_does_what_its_preview_says(command: RefundPayment) -> None:
    payment = paid()
    said = previewed(payment, command)
    payment.hear(command)
    if not said.recorded:
        payment.make_refund()
    (told,) = payment.last.of(PaymentRefunded)
    assert (said.amount, said.refundable_before, said.refundable_after) == (told.amount, 5000, payment.state.refundable)
    assert {line.item: (line.amount, line.whole) for line in told.items} == {
        item.item: (item.amount, item.whole) for item in said.items if item.amount or item.whole
    }
    assert said.recorded is told.recorded


def test_each_item_has_the_most_that_can_still_be_refunded() -> None:
    payment = paid().hear(RefundPayment(amount=2500)).make_refund()
    said = previewed(payment, RefundPayment(items=(RefundLine(item="2", amount=500),)))
    assert [(i.item, i.refundable_before, i.refundable_after, i.whole) for i in said.items] == [
        ("1", 2500, 2000, False),
        ("2", 2000, 1500, False),
    ]


def test_refunds_in_progress_count_as_made() -> None:
    half = RefundPayment(items=(RefundLine(item="2", amount=1000),))
    said = previewed(paid().hear(half), half)
    assert (said.refundable_before, said.refundable_after) == (4000, 3000)
    assert [item.whole for item in said.items] == [False, True]


def test_of_another_attempt_it_has_no_items() -> None:
    said = previewed(surplus().fail_refund(), RefundPayment(attempt=1))
    assert (said.attempt, said.amount, said.items) == (1, 5000, ())
    assert (said.provider, said.dashboard) == ("stripe", "https://dashboard.stripe.com/payments")


@pytest.mark.parametrize(
    "command",
    [
        RefundPayment(amount=5001),
        RefundPayment(reason="whim", refund_payment=False),
        RefundPayment(items=(RefundLine(item="9"), RefundLine(item="1", amount=9999))),
        RefundPayment(attempt=7),
    ],
)
def test_it_is_refused_as_the_refund_is(command: RefundPayment) -> None:
    payment = paid()
    assert preview(payment.state, command, payment.at) == payment.refuses(command)


def test_without_a_payment_there_is_nothing_to_preview() -> None:
    said = preview(None, RefundPayment(), START)
    assert isinstance(said, Refused) and said.code == "not_paid"
