"""Calls that are repeated under their key: Stripe repeats its first answer, and the gateway says how things are now."""

from __future__ import annotations

from typing import Any

import pytest

from services.payments.domain.operations import CancelCharge, ChargeCard, RefundCharge
from services.payments.gateways.limits import CircuitBreaker
from services.payments.gateways.stripe.api import NoTurnError
from services.payments.gateways.stripe.gateway import StripeGateway
from shared.core import Unknown
from tests.integration.stripe_sandbox_rig import Sandbox
from tests.integration.test_stripe_gateway import charge, gateway, gateway_to, key_of, paid, refund_of, stripe_sandbox

__all__ = ["gateway", "stripe_sandbox"]


async def test_the_same_call_again_says_how_the_charge_is_now(gateway: StripeGateway, stripe_sandbox: Sandbox) -> None:
    """Stripe repeats its first answer, whatever happened since; a restored database makes such calls."""
    request, key = charge("pm_card_visa_chargeDeclined"), key_of()
    declined = await gateway.perform(request, key)
    assert isinstance(declined, ChargeCard.Failed)
    assert await gateway.perform(request, key) == declined
    confirmed: Any = {"payment_method": "pm_card_visa", "return_url": request.return_url}
    await stripe_sandbox.client.v1.payment_intents.confirm_async(declined.reference, confirmed)
    done = await gateway.perform(request, key)
    assert isinstance(done, ChargeCard.Done)
    assert (done.result.reference, done.result.status, done.result.amount) == (declined.reference, "succeeded", 1999)
    waits, key = charge("pm_card_threeDSecureRequired", attempt=2), key_of()
    page = await gateway.perform(waits, key)
    assert isinstance(page, ChargeCard.Done)
    await gateway.perform(CancelCharge("stripe", "o-1", 2, page.result.reference), key_of())
    cancelled = await gateway.perform(waits, key)
    assert isinstance(cancelled, ChargeCard.Done)
    assert (cancelled.result.reference, cancelled.result.status) == (page.result.reference, "cancelled")


async def test_a_call_repeated_while_nothing_can_be_read_has_no_outcome(
    gateway: StripeGateway, stripe_sandbox: Sandbox
) -> None:
    """The first answer may be true no longer."""
    request, key = charge("pm_card_visa_chargeDeclined"), key_of()
    declined = await gateway.perform(request, key)
    await stripe_sandbox.control("POST", "faults", kind="error", match={"method": "GET"})
    assert isinstance(await gateway.perform(request, key), Unknown)
    assert await gateway.perform(request, key) == declined


async def test_a_refund_made_again_says_that_it_bounced(gateway: StripeGateway, stripe_sandbox: Sandbox) -> None:
    refund, key = refund_of(await paid(gateway, charge("pm_card_refundFail"))), key_of()
    first = await gateway.perform(refund, key)
    assert isinstance(first, RefundCharge.Done)
    await stripe_sandbox.control("POST", "clock", advance_seconds=2)
    again = await gateway.perform(refund, key)
    assert isinstance(again, RefundCharge.Done)
    assert (first.result.status, again.result.status) == ("succeeded", "failed")
    assert again.result.reference == first.result.reference


async def test_calls_repeated_faster_than_they_can_be_read_are_no_sign_that_stripe_is_down(
    stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restore there are hundreds: those that wait for their turn must not stop all other calls."""
    async with gateway_to(stripe_sandbox.url, breaker=CircuitBreaker(threshold=1)) as gateway:
        request, key = charge(), key_of()
        done = await gateway.perform(request, key)

        async def no_turn(*_: object, **__: object) -> None:
            raise NoTurnError(1.0)

        with monkeypatch.context() as patched:
            patched.setattr(gateway, "call", no_turn)
            assert isinstance(await gateway.perform(request, key), Unknown)
        assert await gateway.perform(request, key) == done

        await stripe_sandbox.control("POST", "faults", kind="rate_limit", match={"method": "GET"}, count=1)
        assert isinstance(await gateway.perform(request, key), Unknown)
        assert await gateway.perform(request, key) == done
