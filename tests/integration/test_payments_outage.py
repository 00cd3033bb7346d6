"""Stripe carries calls out and loses their answers, or refuses our key, for minutes. No payment that was made is
reported as failed, no customer pays twice, and an operator's fault reaches no customer.

The clock is moved: an outage of half an hour takes seconds. Customers pay again as soon as a payment failed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from shared.contracts.checkout import OrderCancelled
from tests.integration.conftest import NewDatabase
from tests.integration.stripe_sandbox_rig import KEY, Receiver, Sandbox, sandbox
from tests.integration.test_payments_service import Running, Told, free_port, paid_with, payments_at

ORDERS = [f"o-{number}" for number in range(1, 21)]
STEP = 0.1
"""Real seconds after which the clock is moved on."""
INTENTS, REFUNDS = "/v1/payment_intents", "/v1/refunds"


class MovedClock:
    """The real time, and as far ahead as it was moved."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Shop:
    """Twenty orders and their customers."""

    running: Running
    clock: MovedClock
    attempts: dict[str, int] = field(default_factory=dict)
    seen: int = 0

    @property
    def stripe(self) -> Sandbox:
        return self.running.stripe

    def told(self, type: str) -> list[Told]:
        return [event for event in self.running.bus.events if event.type == type]

    async def pays(self, key: str, method: str = "pm_card_visa") -> None:
        self.attempts[key] = self.attempts.get(key, 0) + 1
        until = self.clock.now() + timedelta(days=7)
        request = paid_with(method, self.attempts[key])
        await self.running.hears(request.model_copy(update={"requested_at": self.clock.now(), "until": until}), key=key)

    async def all_pay(self) -> None:
        for key in ORDERS:
            await self.pays(key)

    async def react(self) -> None:
        """Customers whose payment failed pay again."""
        events, self.seen = self.running.bus.events[self.seen :], len(self.running.bus.events)
        for event in events:
            failed = event.type in ("payment.declined", "payment.cancelled")
            if failed and event.body["attempt"] == self.attempts.get(event.key):
                await self.pays(event.key)

    async def passes(self, minutes: float) -> None:
        """The first minute in small steps, as callers see it who try again at once; the rest in large ones."""
        rest = timedelta(minutes=minutes - 1)
        for step in [timedelta(seconds=1.5)] * 40 + [rest / 20] * (20 if rest else 0):
            self.clock.ahead += step
            await asyncio.sleep(STEP)
            await self.react()

    async def until(self, done: Callable[[], object], what: str) -> None:
        """Time goes on, a minute at a time."""
        for _ in range(300):
            if done():
                return
            self.clock.ahead += timedelta(minutes=1)
            await asyncio.sleep(STEP)
            await self.react()
        pytest.fail(f"{what}: {Counter(self.running.bus.types)}")

    @contextlib.asynccontextmanager
    async def answers_lost(self, path: str, minutes: float) -> AsyncIterator[None]:
        """The connection is closed after the effect, and callbacks are held back."""
        await self.stripe.control("POST", "webhooks/hold")
        fault = {"kind": "close_after", "count": None, "match": {"path": path, "method": "POST"}}
        await self.stripe.control("POST", "faults", **fault)
        yield
        await self.passes(minutes)
        await self.stripe.control("DELETE", "faults")

    async def books(self) -> list[dict[str, Any]]:
        return list((await self.stripe.control("GET", "books"))["payment_intents"])


@pytest_asyncio.fixture
async def shop(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Shop]:
    database, clock, port = await new_database("payments"), MovedClock(), free_port()
    callbacks = Receiver(url=f"http://127.0.0.1:{port}/stripe/webhook")
    async with (
        sandbox(tmp_path, callbacks) as stripe,
        payments_at(database, port, stripe, clock) as running,
    ):
        yield Shop(running, clock)


@pytest.mark.parametrize("minutes", [1, 5, 30])
async def test_answers_to_charges_are_lost(shop: Shop, minutes: int) -> None:
    async with shop.answers_lost(INTENTS, minutes):
        await shop.all_pay()
    await shop.until(lambda: len(shop.told("payment.captured")) >= len(ORDERS), "captures")
    captured = [intent["metadata"] for intent in await shop.books() if intent["captured"]]
    carried_out = {(it["order"], int(it["attempt"])) for it in captured}
    failed = {(event.key, event.body["attempt"]) for event in shop.told("payment.declined")}
    per_order = Counter(order for order, _ in carried_out)
    print(f"\n{minutes} min: declined though captured {len(failed & carried_out)} of {len(ORDERS)}, ", end="")
    print(f"captured twice {sum(count > 1 for count in per_order.values())}, declined {len(failed)}")
    assert failed & carried_out == set()
    assert per_order == dict.fromkeys(ORDERS, 1)
    assert Counter(shop.running.bus.types) == {"payment.captured": len(ORDERS)}
    await shop.stripe.control("POST", "webhooks/release")
    await shop.stripe.settled()
    assert await shop.running.faults() == []


@pytest.mark.parametrize("minutes", [1, 5, 30])
async def test_answers_to_refunds_are_lost(shop: Shop, minutes: int) -> None:
    await shop.all_pay()
    await shop.until(lambda: len(shop.told("payment.captured")) == len(ORDERS), "captures")
    await shop.stripe.settled()
    async with shop.answers_lost(REFUNDS, minutes):
        for key in ORDERS:
            await shop.running.hears(OrderCancelled(), key=key)
    failed = {event.key for event in shop.told("payment.refund_failed")}
    refunded = {intent["metadata"]["order"] for intent in await shop.books() if intent["refunded"]}
    print(f"\n{minutes} min: told as failed though refunded {len(failed & refunded)} of {len(ORDERS)}")
    assert failed == set()
    await shop.until(lambda: len(shop.told("payment.refunded")) >= len(ORDERS), "refunds")
    assert [intent["effects"]["refunds"] for intent in await shop.books()] == [1] * len(ORDERS)
    await shop.stripe.control("POST", "webhooks/release")
    await shop.stripe.settled()
    assert await shop.running.faults() == []


@pytest.mark.parametrize("fault", ["expired_key", "forbidden"])
async def test_our_key_is_refused(shop: Shop, fault: str) -> None:
    await shop.stripe.control("POST", "faults", kind=fault, count=None)
    await shop.all_pay()
    await shop.passes(minutes=5)
    print(f"\n{fault}: declined {len(shop.told('payment.declined'))} of {len(ORDERS)}")
    assert shop.running.bus.events == []
    assert await shop.books() == []
    (call,) = (await shop.running.get("/orders/o-1/payment"))["waiting"]
    assert (call["kind"], call["attempts"], call["in_doubt"]) == ("ChargeCard", 0, False)
    assert datetime.fromisoformat(call["since"]) < shop.clock.now() - timedelta(minutes=4)
    assert "Stripe" in call["error"] + call["paused"] or "API key" in call["error"] + call["paused"]
    await shop.stripe.control("DELETE", "faults")
    await shop.until(lambda: len(shop.told("payment.captured")) == len(ORDERS), "captures")
    assert Counter(shop.running.bus.types) == {"payment.captured": len(ORDERS)}
    assert all(KEY[-4:] not in str(event) for event in shop.running.bus.events)


async def test_an_unknown_payment_method_holds_up_no_other_order(shop: Shop) -> None:
    await shop.pays("o-1", "pm_unknown")
    for key in ORDERS[1:]:
        await shop.pays(key)
    await shop.until(lambda: len(shop.told("payment.captured")) == len(ORDERS), "captures")
    (declined,) = shop.told("payment.declined")
    assert (declined.key, declined.body["reason"]) == ("o-1", "payment_method_unusable")
    assert declined.body["text"] == "This payment method cannot be used. Choose another one."
    assert "pm_unknown" in declined.body["detail"]


async def test_an_unresolved_charge_can_be_settled_manually(shop: Shop) -> None:
    """Charged, the answer lost, Stripe's books unreadable, and the order's time to pay over."""
    await shop.stripe.control("POST", "webhooks/hold")
    await shop.stripe.control(
        "POST", "faults", kind="close_after", count=None, match={"path": INTENTS, "method": "POST"}
    )
    await shop.stripe.control("POST", "faults", kind="error", count=None, match={"path": INTENTS, "method": "GET"})
    request = paid_with("pm_card_visa")
    until = shop.clock.now() + timedelta(minutes=3)
    await shop.running.hears(request.model_copy(update={"requested_at": shop.clock.now(), "until": until}))
    for _ in range(100):
        if await shop.books():
            break
        await asyncio.sleep(STEP)
    await shop.until(lambda: shop.told("payment.unresolved"), "that it is unknown")
    assert shop.running.bus.types == ["payment.unresolved"]
    (intent,) = await shop.books()
    right = {"attempt": 1, "outcome": "captured", "reference": intent["id"], "reason": "seen at Stripe"}
    status, problem = await shop.running.command("s-1", "settle", **right, amount=1)
    assert (status, problem["code"]) == (409, "wrong_amount")
    assert (await shop.running.command("s-2", "settle", **right, amount=5000))[0] == 202
    assert (await shop.running.command("s-3", "settle", **right))[1]["code"] == "not_unresolved"
    await shop.until(lambda: shop.told("payment.captured"), "the capture")
    (attempt,) = (await shop.running.get("/orders/o-1/payment"))["attempts"]
    assert (attempt["status"], attempt["settled_by"]) == ("captured", "staff")
    await shop.stripe.control("DELETE", "faults")
    await shop.stripe.control("POST", "webhooks/release")
    await shop.stripe.settled()
    assert shop.told("payment.settlement_contradicted") == []
    assert await shop.running.faults() == []


async def test_an_outage_longer_than_the_orders_time_charges_nothing_later(shop: Shop) -> None:
    await shop.stripe.control("POST", "faults", kind="expired_key", count=None)
    request = paid_with("pm_card_visa")
    until = shop.clock.now() + timedelta(minutes=3)
    await shop.running.hears(request.model_copy(update={"until": until}))
    await shop.until(lambda: shop.running.bus.events, "the end of the attempt")
    assert shop.running.bus.types == ["payment.cancelled"]
    await shop.stripe.control("DELETE", "faults")
    await shop.until(lambda: shop.clock.now() > until + timedelta(minutes=20), "time")
    assert await shop.books() == []
