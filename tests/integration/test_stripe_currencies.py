"""Amounts in Stripe's books and in ours, through the real SDK over HTTP."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.payments.domain.operations import (
    AMOUNT_REFUSED,
    ChargeCard,
    ChargeReported,
    Fee,
    FindCharge,
    RefundCharge,
)
from services.payments.gateways.stripe.callbacks import callback
from services.payments.gateways.stripe.gateway import StripeGateway
from services.payments.gateways.stripe.records import stripe_movements
from tests.integration.stripe_sandbox_rig import Sandbox
from tests.integration.test_stripe_gateway import EARLIER, charge, gateway, key_of, paid, refund_of, stripe_sandbox

__all__ = ["gateway", "stripe_sandbox"]


@pytest.mark.parametrize(
    ("currency", "amount", "sent", "part"),
    [
        ("ISK", 5000, 500_000, 1200),
        ("UGX", 5000, 500_000, 1200),
        ("MGA", 500_000, 5000, 120_000),
        ("KWD", 10_010, 10_010, 3340),
        ("JPY", 5000, 5000, 1200),
        ("HUF", 104_545, 104_545, 45),
        ("USD", 5000, 5000, 1200),
    ],
)
async def test_stripes_books_say_in_its_units_what_ours_say_in_iso_units(
    gateway: StripeGateway, stripe_sandbox: Sandbox, currency: str, amount: int, sent: int, part: int
) -> None:
    done = await paid(gateway, charge(currency=currency, amount=amount))
    assert done.amount == amount
    assert await gateway.find(charge(currency=currency, amount=amount), key_of()) == ChargeCard.Done(done)
    answer = await gateway.perform(replace(refund_of(done, part), currency=currency), key_of())
    assert isinstance(answer, RefundCharge.Done)

    intent = await stripe_sandbox.client.v1.payment_intents.retrieve_async(done.reference)
    assert intent.amount_received == sent
    moved = {movement.reference: movement.amount async for movement in stripe_movements(gateway)}
    assert moved == {done.reference: amount, answer.result.reference: -part}
    await stripe_sandbox.settled()
    (succeeded,) = (event for event in stripe_sandbox.receiver.events if event.type == "payment_intent.succeeded")
    told = callback(succeeded.to_dict())
    assert told is not None
    assert isinstance(told.report, ChargeReported)
    assert told.report.result.amount == amount


async def test_a_refund_off_stripes_step_is_refused(gateway: StripeGateway) -> None:
    done = await paid(gateway, charge(currency="KWD", amount=10_010))
    answer = await gateway.perform(replace(refund_of(done, 3335), currency="KWD"), key_of())
    assert isinstance(answer, RefundCharge.Failed)


async def test_a_charge_says_what_stripe_keeps_of_it_in_the_same_answer(gateway: StripeGateway) -> None:
    done = await paid(gateway)
    assert done.fee == Fee(87, "USD")
    found = await gateway.perform(FindCharge("stripe", "o-1", 1, done.reference, EARLIER), key_of())
    assert isinstance(found, FindCharge.Done) and found.result.fee == done.fee


@pytest.mark.parametrize(("amount", "code"), [(49, "amount_too_small"), (100_000_000, "amount_too_large")])
async def test_a_refused_amount_is_called_that(gateway: StripeGateway, amount: int, code: str) -> None:
    failed = await gateway.perform(charge(amount=amount), key_of())
    assert isinstance(failed, ChargeCard.Failed)
    assert failed.code in AMOUNT_REFUSED and failed.code == code
