"""Refunds that are not over when Stripe answers: payments enters what Stripe reports later, and the books agree."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.test_payments_service import Running, paid_with, running

__all__ = ["running"]


async def refunded(running: Running, card: str, *types: str) -> str:
    """A payment with that card, refunded in whole; the refund's reference."""
    await running.hears(paid_with(card))
    await running.until("payment.captured")
    assert (await running.refund("k-1"))[0] == 202
    await running.until("payment.captured", *types)
    async with asyncio.timeout(10):
        while not (refunds := (await running.stripe.control("GET", "books"))["payment_intents"][0]["refunds"]):
            await asyncio.sleep(0.02)
    return str(refunds[0]["id"])


async def test_a_refund_that_the_bank_returns_can_be_requested_again(running: Running) -> None:
    reference = await refunded(running, "pm_card_visa", "payment.refunded")

    await running.stripe.control("POST", f"refunds/{reference}", status="failed")

    await running.until("payment.captured", "payment.refunded", "payment.refund_failed")
    payment = await running.get("/orders/o-1/payment")
    assert (payment["status"], payment["refunded"], payment["refundable"]) == ("paid", 0, 5000)
    await running.stripe.settled()
    assert await running.faults() == []
    assert (await running.refund("k-2"))[0] == 202
    await running.until("payment.captured", "payment.refunded", "payment.refund_failed", "payment.refunded")
    await running.stripe.settled()
    assert await running.faults() == []


@pytest.mark.parametrize(("status", "told"), [("succeeded", "payment.refunded"), ("failed", "payment.refund_failed")])
async def test_a_pending_refund_is_entered_when_it_is_over(running: Running, status: str, told: str) -> None:
    await running.stripe.control("POST", "faults", kind="refund_pending")
    reference = await refunded(running, "pm_card_visa")
    await running.stripe.settled()
    assert running.bus.types == ["payment.captured"]

    await running.stripe.control("POST", f"refunds/{reference}", status=status)

    await running.until("payment.captured", told)
    await running.stripe.settled()
    assert await running.faults() == []
