"""Refunds at the Stripe sandbox that are not over when they are answered, and those made in the dashboard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from .stripe_sandbox_rig import Receiver, Sandbox, receiving, sandbox


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with receiving() as receiver, sandbox(tmp_path, receiver) as running:
        yield running


async def refund(shop: Sandbox, intent: stripe.PaymentIntent, **more: Any) -> stripe.Refund:
    params: Any = {"payment_intent": intent.id, **more}
    return await shop.client.v1.refunds.create_async(params)


async def status(shop: Sandbox, made: stripe.Refund) -> str | None:
    return (await shop.client.v1.refunds.retrieve_async(made.id)).status


async def book(shop: Sandbox, order: str = "ORD-1") -> dict[str, Any]:
    (entry,) = (await shop.control("GET", f"books?order={order}"))["payment_intents"]
    return dict(entry)


def changes(receiver: Receiver) -> list[tuple[str, str]]:
    """What was told of refunds after they were made."""
    told = [(event.type, event.data.object["status"]) for event in receiver.events if "refund." in event.type]
    return sorted(one for one in told if one[0] != "refund.created")


@pytest.mark.parametrize("number", ["pm_card_pendingRefund", "4000000000007726"])
async def test_a_refund_to_the_pending_card_succeeds_some_time_later(shop: Sandbox, number: str) -> None:
    card = {"number": number, "exp_month": "7", "exp_year": "2040"}
    data: Any = {} if number.startswith("pm_") else {"payment_method_data": {"type": "card", "card": card}}
    intent = await shop.pay("" if data else number, **data)

    made = await refund(shop, intent, amount=400)

    assert (made.status, made.pending_reason) == ("pending", "processing")
    assert await status(shop, made) == "pending"
    waiting = await book(shop)
    assert (waiting["refunded"], waiting["pending"]) == (0, 400)
    assert (await shop.control("POST", "clock", advance_seconds=2))["settled"] == 1
    assert await status(shop, made) == "succeeded"
    done = await book(shop)
    assert (done["refunded"], done["pending"]) == (400, 0)
    await shop.receiver.until(lambda: len(changes(shop.receiver)) == 2)
    assert changes(shop.receiver) == [("charge.refund.updated", "succeeded"), ("refund.updated", "succeeded")]


async def test_what_a_pending_refund_takes_cannot_be_refunded_again(shop: Sandbox) -> None:
    intent = await shop.pay("pm_card_pendingRefund")
    await refund(shop, intent, amount=700)

    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        await refund(shop, intent, amount=301)
    await refund(shop, intent, amount=300)


async def test_a_refund_that_the_bank_returns_can_be_made_again(shop: Sandbox) -> None:
    intent = await shop.pay("pm_card_refundFail")
    made = await refund(shop, intent)
    assert made.status == "succeeded"

    await shop.control("POST", "clock", advance_seconds=2)

    failed = await shop.client.v1.refunds.retrieve_async(made.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert isinstance(failed.failure_balance_transaction, stripe.BalanceTransaction)
    assert failed.failure_balance_transaction.amount == 1000
    charge = await shop.client.v1.charges.retrieve_async(str(intent.latest_charge))
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert (await book(shop))["refunded"] == 0
    await shop.receiver.until(lambda: len(changes(shop.receiver)) == 3)
    expected = ["charge.refund.updated", "refund.failed", "refund.updated"]
    assert changes(shop.receiver) == [(type, "failed") for type in expected]
    again = await refund(shop, intent)
    assert (again.status, again.amount) == ("succeeded", 1000)


async def test_a_fault_lets_one_orders_refunds_wait_and_then_fail(shop: Sandbox) -> None:
    match = {"metadata": {"order": "ORD-2"}}
    await shop.control("POST", "faults", kind="refund_pending", match=match, milliseconds=60_000)
    fails: dict[str, Any] = {"milliseconds": 90_000, "failure_reason": "lost_or_stolen_card"}
    await shop.control("POST", "faults", kind="refund_bounce", match=match, **fails)
    other, intent = await shop.pay(), await shop.pay(metadata={"order": "ORD-2"})

    assert (await refund(shop, other)).status == "succeeded"
    made = await refund(shop, intent)
    seen = []
    for _ in range(3):
        seen.append(await status(shop, made))
        await shop.control("POST", "clock", advance_seconds=50)

    assert seen == ["pending", "pending", "failed"]
    failed = await shop.client.v1.refunds.retrieve_async(made.id)
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")


async def test_a_refund_changes_without_the_clock_being_moved(shop: Sandbox) -> None:
    await shop.control("POST", "faults", kind="refund_pending", milliseconds=50)
    await shop.client.v1.refunds.list_async({})
    await refund(shop, await shop.pay())

    await shop.receiver.until(lambda: ("refund.updated", "succeeded") in changes(shop.receiver))


async def test_a_refund_waits_until_it_is_told_to_succeed_or_fail(shop: Sandbox) -> None:
    await shop.control("POST", "faults", kind="refund_pending", count=2)
    first, second = [await refund(shop, await shop.pay()) for _ in range(2)]
    await shop.control("POST", "clock", advance_seconds=86_400)
    assert await status(shop, first) == "pending"

    await shop.control("POST", f"refunds/{first.id}", status="succeeded")
    await shop.control("POST", f"refunds/{second.id}", status="failed", failure_reason="declined")

    assert await status(shop, first) == "succeeded"
    failed = await shop.client.v1.refunds.retrieve_async(second.id)
    assert (failed.status, failed.failure_reason) == ("failed", "declined")
    await shop.control("POST", f"refunds/{first.id}", status="failed")
    assert await status(shop, first) == "failed"


async def test_a_pending_refund_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with sandbox(tmp_path, receiver) as shop:
            made = await refund(shop, await shop.pay("pm_card_pendingRefund"))
        async with sandbox(tmp_path, receiver) as shop:
            await shop.control("POST", "clock", advance_seconds=2)
            assert await status(shop, made) == "succeeded"


async def test_a_refund_in_the_dashboard_says_nothing_of_our_order(shop: Sandbox) -> None:
    intent = await shop.pay()

    made = await shop.control("POST", "refunds", payment_intent=intent.id, amount=250, reason="duplicate")

    found = await shop.client.v1.refunds.retrieve_async(made["id"])
    assert (found.amount, found.reason, found.status) == (250, "duplicate", "succeeded")
    assert found.metadata is not None and found.metadata.to_dict() == {}
    listed = await shop.client.v1.refunds.list_async({"payment_intent": intent.id})
    assert [it.id for it in listed.data] == [made["id"]]
    await shop.receiver.until(lambda: {"refund.created", "charge.refunded"} <= set(shop.receiver.types))
    told = {event.type: event for event in shop.receiver.events}
    assert told["refund.created"].data.object["payment_intent"] == intent.id
    assert told["charge.refunded"].data.object["metadata"]["order"] == "ORD-1"
    with pytest.raises(stripe.InvalidRequestError):
        await refund(shop, intent, amount=751)


async def test_a_charge_in_the_dashboard_may_look_like_our_own(shop: Sandbox) -> None:
    ours = {"order": "ORD-1", "attempt": "1", "store": "s-1", "number": "ORD-A", "key": "o-1/1"}
    waiting = await shop.pay("pm_card_threeDSecure2Required", metadata=ours)
    assert waiting.status == "requires_action"

    stray = await shop.control("POST", "charges", amount=50, currency="eur", metadata=ours)

    charged = await shop.client.v1.payment_intents.retrieve_async(stray["id"])
    assert (charged.status, charged.amount, charged.currency) == ("succeeded", 50, "eur")
    assert charged.metadata.to_dict() == ours
    await shop.receiver.until(lambda: "payment_intent.succeeded" in shop.receiver.types)
    assert shop.receiver.events[-1].data.object["id"] == stray["id"]


async def test_metadata_is_found_by_any_key(shop: Sandbox) -> None:
    ours = {"order": "ORD-1", "attempt": "2", "key": "0190-key"}
    intent = await shop.pay(metadata=ours)

    found = await shop.client.v1.payment_intents.search_async({"query": "metadata['key']:'0190-key'"})
    listed = await shop.client.v1.payment_intents.list_async({"limit": 1})

    assert [it.id for it in found.data] == [it.id for it in listed.data] == [intent.id]
    assert listed.data[0].metadata.to_dict() == found.data[0].metadata.to_dict() == ours
    await shop.receiver.until(lambda: len(shop.receiver.events) == 1)
    assert shop.receiver.events[0].data.object["metadata"].to_dict() == ours
