"""A shop's side of orderbus, by its public topics alone: open, submit and pay again as customers, command as staff,
and watch each order.

    async with Shop(settings, catalogue) as shop:
        order = shop.order()
        await order.opens()
        await order.submits(basket("atlas", "tides"))
        await order.becomes("completed")
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from deploy.client.storefront import Follower, Published, Read, Storefront, uuid7
from deploy.demo.catalogue import Catalogue
from shared.contracts.checkout import ORDERS, STATUS, CancelOrder, CheckoutRefused, CompleteOrder
from shared.contracts.delivery_work import MarkDeliveredDelivery, ResendDelivery
from shared.contracts.fulfillment import RetryDelivery, ShipOrder
from shared.contracts.notifications import EVENTS as NOTIFICATIONS
from shared.contracts.notifications import STATUS as MESSAGES
from shared.contracts.notifications import EmailFailed, MessageStatusRecord, WebhookExhausted
from shared.contracts.payments import RefundPayment
from shared.contracts.storefront import (
    CheckoutAbandoned,
    CheckoutOpened,
    CheckoutPaymentRetried,
    CheckoutSubmitted,
    PaymentChoice,
)
from shared.core import Command
from shared.settings import Settings

GOOD_CARD = "pm_card_visa"
TAKEN = frozenset({MessageStatusRecord.type, EmailFailed.type, WebhookExhausted.type})
"""Events that tell of the end of mails and webhooks."""
Seen = Mapping[str, Any]
"""The body of a record of `orders.status.v1`."""


class NeverHappened(Exception):
    """What was waited for did not happen in time."""


@dataclass
class Order:
    """One order as the shop sees it. Times are the records' time stamps, milliseconds since 1970."""

    id: str
    shop: Shop
    store: str
    submitted_at: int = 0
    latest: Seen = field(default_factory=dict)
    history: list[tuple[int, str]] = field(default_factory=list)
    """Every status with the time it was first seen in."""
    refusals: list[dict[str, Any]] = field(default_factory=list)
    taken_at: float | None = None
    """When the latest of its mails and webhooks was taken or given up; monotonic seconds."""
    _waiting: list[tuple[Callable[[Order], bool], asyncio.Future[None]]] = field(default_factory=list)

    @property
    def status(self) -> str:
        return str(self.latest.get("status", ""))

    @property
    def number(self) -> str:
        return str(self.latest.get("number", ""))

    def reached(self, status: str) -> int | None:
        """When a status was first seen."""
        return next((at for at, seen in self.history if seen == status), None)

    # What the customer does

    async def opens(self, currency: str = "EUR", country: str = "DE") -> Published:
        return await self.publish(CheckoutOpened(store=self.store, currency=currency, country=country), "customer")

    async def submits(self, checkout: CheckoutSubmitted) -> Published:
        published = await self.publish(checkout, "customer")
        self.submitted_at = published.at
        return published

    async def pays_again(self, payment_method: str = GOOD_CARD) -> Published:
        return await self.publish(
            CheckoutPaymentRetried(payment=PaymentChoice(payment_method=payment_method)), "customer"
        )

    async def is_given_up(self) -> Published:
        return await self.publish(CheckoutAbandoned(reason="Changed my mind."), "customer")

    # What staff do

    async def is_cancelled(self, reason: str = "The customer asked for it.") -> Published:
        return await self.publish(CancelOrder(reason=reason))

    async def is_refunded(self, amount: int | None = None) -> Published:
        return await self.publish(RefundPayment(amount=amount))

    async def is_shipped(self, carrier: str = "DHL") -> Published:
        return await self.publish(ShipOrder(carrier=carrier, tracking=f"JD{self.id[-12:]}"))

    async def is_made_by_hand(self) -> Published:
        """The task of the first item; its parcel is still to be sent."""
        return await self.publish(MarkDeliveredDelivery(executions=("1/2",), reason="Engraved."))

    async def is_sent_again(self) -> Published:
        return await self.publish(ResendDelivery(reason="The customer mislaid the email."))

    async def is_tried_again(self) -> Published:
        return await self.publish(RetryDelivery())

    async def is_completed_by_hand(self) -> Published:
        return await self.publish(CompleteOrder())

    async def publish(self, message: Command, actor: str = "staff") -> Published:
        return await self.shop.storefront.publish(message, self.id, actor=actor)

    # What is seen of it

    async def becomes(self, *statuses: str, within: float = 30.0) -> Seen:
        """Wait for a status; raises NeverHappened, saying where the order is instead."""
        return await self.shows(lambda order: order.status in statuses, " or ".join(statuses), within=within)

    async def shows(self, condition: Callable[[Order], bool], what: str = "that", *, within: float = 30.0) -> Seen:
        """Wait until a condition holds."""
        if not condition(self):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((condition, future))
            try:
                await asyncio.wait_for(future, within)
            except TimeoutError:
                raise NeverHappened(
                    f"order {self.id} {self.number} did not show {what} within {within:.0f} s; it is "
                    f"{self.status or 'unknown'}, was {' → '.join(status for _, status in self.history)}"
                ) from None
        return self.latest

    async def is_refused(self, *, times: int = 1, within: float = 30.0) -> dict[str, Any]:
        """Wait for the answer to what was wrong."""
        await self.shows(lambda order: len(order.refusals) >= times, "a refusal", within=within)
        return self.refusals[times - 1]

    def learn(self, record: Read) -> None:
        """A record about this order."""
        if record.type in TAKEN:
            self.taken_at = time.monotonic()
            return
        if record.type == CheckoutRefused.type:
            self.refusals.append(record.body)
        elif record.body.get("revision", 0) > self.latest.get("revision", 0):
            self.latest = record.body
            if not self.history or self.history[-1][1] != self.status:
                self.history.append((record.at, self.status))
        for waiting in [entry for entry in self._waiting if entry[1].done() or entry[0](self)]:
            self._waiting.remove(waiting)
            if not waiting[1].done():
                waiting[1].set_result(None)


class Shop:
    """Publishes for all customers and reads once for all of them: order statuses, refusals, emails' outcomes."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.orders: dict[str, Order] = {}
        self.storefront = Storefront(settings.kafka)
        self._settings = settings
        self._follower = self._new_follower()
        self._reading: asyncio.Task[None] | None = None

    def _new_follower(self, *, from_beginning: bool = False) -> Follower:
        topics, types = [STATUS, ORDERS, NOTIFICATIONS, MESSAGES], {"order.status", CheckoutRefused.type, *TAKEN}
        return Follower(self._settings.kafka, topics, types=types, from_beginning=from_beginning)

    async def __aenter__(self) -> Self:
        await self.storefront.__aenter__()
        await self._start_reading()
        return self

    async def follow_again(self) -> None:
        """From the beginning: the topics are those of another cluster."""
        await self._stop_reading()
        self._follower = self._new_follower(from_beginning=True)
        await self._start_reading()

    async def _start_reading(self) -> None:
        await self._follower.__aenter__()
        self._reading = asyncio.create_task(self._read(), name="status reader")

    async def _stop_reading(self) -> None:
        if self._reading:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        await self._follower.__aexit__()

    async def __aexit__(self, *_: object) -> None:
        await self._stop_reading()
        await self.storefront.__aexit__()

    async def _read(self) -> None:
        async for batch in self._follower.batches():
            for record in batch:
                order = self.orders.get(record.key)
                if order is not None:
                    order.learn(record)

    def order(self, store: str = "") -> Order:
        """A new order that is not published yet."""
        order = Order(str(uuid7()), self, store or self.catalogue.main)
        self.orders[order.id] = order
        return order

    def __iter__(self) -> Iterator[Order]:
        return iter(self.orders.values())
