"""Stripe pauses our account: it makes no charges for a while. Only staff can solve that, so payments pauses its calls
and declines nothing, whatever the refusal looks like. What was refused is charged when the account is active again.

Stripe documents the code of the refusal, but not its HTTP status (`deploy/sandboxes/stripe/restriction.py`)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shared.core import OperatorFault
from tests.integration.stripe_sandbox_rig import receiving, sandbox
from tests.integration.test_payments_outage import ORDERS, Shop, shop
from tests.integration.test_stripe_gateway import charge, gateway_to, key_of

__all__ = ["shop"]

REFUSALS = [
    pytest.param({"status": 400}, id="400"),
    pytest.param({"status": 403}, id="403"),
    pytest.param({"status": 403, "code": None}, id="403 without a code"),
    pytest.param({"status": 400, "code": "account_invalid"}, id="account_invalid"),
    pytest.param({"status": 402}, id="402"),
    pytest.param({"status": 400, "code": None}, id="400 without a code"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_the_refusal_is_an_operators_fault(tmp_path: Path, refusal: dict[str, Any]) -> None:
    async with (
        receiving() as receiver,
        sandbox(tmp_path, receiver) as stripe,
        gateway_to(stripe.url) as gateway,
    ):
        await stripe.control("POST", "account", charges_enabled=False, **refusal)
        answer = await gateway.perform(charge(), key_of())

    assert isinstance(answer, OperatorFault)


async def test_a_paused_account_declines_no_order(shop: Shop) -> None:
    await shop.stripe.control("POST", "account", charges_enabled=False, status=400, saved=False)
    await shop.all_pay()
    await shop.passes(minutes=1)
    assert shop.running.bus.events == []
    assert await shop.books() == []
    (call,) = (await shop.running.get("/orders/o-1/payment"))["waiting"]
    assert (call["kind"], call["attempts"], call["in_doubt"]) == ("ChargeCard", 0, False)
    assert "account" in call["error"] + call["paused"]

    await shop.stripe.control("POST", "account", charges_enabled=True)

    await shop.until(lambda: len(shop.told("payment.captured")) == len(ORDERS), "captures")
    assert Counter(shop.running.bus.types) == {"payment.captured": len(ORDERS)}
    assert await shop.running.faults() == []


async def test_a_key_that_repeats_the_refusal_holds_up_no_other_order(shop: Shop) -> None:
    """Stripe keeps answers for a day, refusals included: the account is active, and old keys are still refused."""
    await shop.stripe.control("POST", "account", charges_enabled=False, status=400, saved=True)
    await shop.pays("o-1")
    await shop.passes(minutes=1)
    await shop.stripe.control("POST", "account", charges_enabled=True)

    await shop.pays("o-2")
    await shop.until(lambda: shop.told("payment.captured"), "the capture")
    assert [event.key for event in shop.told("payment.captured")] == ["o-2"]
    assert shop.told("payment.declined") == []
