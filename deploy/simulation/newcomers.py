"""A store that holds each customer's first order: customers who come back, under other addresses or accounts, and staff
who release what is held, or cancel it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from deploy.check.evidence import Findings
from deploy.simulation.evidence import Broken
from deploy.simulation.tasks import unowned
from deploy.simulation.world import World
from services.checkout.domain.order import Order
from services.checkout.domain.status import CLOSED
from services.checkout.storage import stores
from shared.contracts.checkout import CancelOrder, OrderPaid, OrderPlaced, OrderStatusRecord
from shared.contracts.delivery_work import ReleaseDelivery
from shared.contracts.store_settings import ChangeStore, FulfilmentSettings, StoreSettings
from shared.contracts.values import Customer, DeliveryStatus, OrderStatus
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.rows import OutboxRow
from shared.simulation.memory_database import OUTBOX

TOLD = "told"
"""A table of checkout's that it does not know: the statuses and payments of orders, as they were committed."""
SHARE = 0.3
"""Of the simulated stores, how many have the rule."""
ANYONE = Customer(name="A. Buyer", email="buyer@mail.example")
CUSTOMERS = (
    Customer(name="Ada", email="ada@mail.example"),
    Customer(name="Ada", email="Ada@Mail.example"),
    Customer(name="Bo", email="bo@mail.example", id="c-1", signed_in=True),
    Customer(name="Bo", email="bo@work.example", id="c-1", signed_in=True),
    Customer(name="No Bo", email="else@mail.example", id="c-1"),
    Customer(name="Cy", email="cy@mail.example"),
)
"""Three people: an address in other letters, an account with two addresses; and one who only says that it is hers."""


class Newcomers:
    def __init__(self, world: World, held: set[str]) -> None:
        """`held`: the orders that staff release in the end."""
        self._world, self._rng, self._held = world, world.rng_of("newcomers"), held
        self.open = self._rng.random() < SHARE
        self.in_force: bool | None = None
        """Whether the rule was there when the first customer came: it may have been parked."""
        world.readers.append(self.read)
        world.stores["checkout"].on_commit = self._committed

    def _committed(self, table: str, row: object) -> None:
        record = row[0] if table == OUTBOX and isinstance(row, tuple) else None
        if self.open and isinstance(record, OutboxRow):
            kind = dict(orjson.loads(record.headers)).get("ce_type")
            if kind in (OrderStatusRecord.type, OrderPaid.type):
                told = self._world.stores["checkout"].rows(TOLD)
                told.setdefault(record.id, (record.key, kind, orjson.loads(record.body)))

    def settings(self, store: str) -> None:
        if self.open:
            fulfilment = FulfilmentSettings(hold_first_order=True)
            self._world.publish(ChangeStore(settings=StoreSettings(fulfilment=fulfilment)), store, actor="staff:anna")

    def wait(self) -> float:
        """For how many seconds more a customer stays away."""
        return self._rng.random() * self._rng.choice((0.0, 0.0, 60.0, 3600.0)) if self.open else 0.0

    def customer(self) -> Customer:
        if not self.open:
            return ANYONE
        if self.in_force is None:
            rows = self._world.stores["checkout"].rows(stores.name).values()
            self.in_force = any(orjson.loads(it.row.data or b"{}").get("hold_first_order") for it in rows)
        return self._rng.choice(CUSTOMERS)

    def read(self, record: BusRecord) -> None:
        if not self.open or dict(record.headers).get("ce_type") != OrderPlaced.type.encode():
            return
        try:
            key, told = (record.key or b"").decode(), orjson.loads(record.value or b"{}")
        except ValueError:
            return  # garbage, which is known as such only when it is written
        if isinstance(told, dict) and told.get("held") and not self._world.is_garbage(record) and key not in self._held:
            self._held.add(key)
            self._world.keep(unowned(lambda: self._verify(key)))

    async def _verify(self, key: str) -> None:
        """Some are forgotten, till the end."""
        drawn = self._rng.random()
        await asyncio.sleep(self._rng.random() * self._rng.choice((0.5, 10.0, 600.0)))
        if drawn < 0.7:
            await self._world.submit("fulfillment", ReleaseDelivery(reason="Called."), key, actor="staff:anna")
        elif drawn < 0.85:
            await self._world.submit("checkout", CancelOrder(reason="Not verified."), key, actor="staff:anna")


def newcomers_held(newcomers: Newcomers, world: World, found: Findings) -> Iterator[Broken]:
    """Who is not known is held, and nothing is delivered before it is released. In the order of checkout's commits."""
    if not newcomers.in_force:
        return
    paid, held, vouched = set[str](), set[str](), defaultdict[str, set[str]](set)
    orders, seen = found.of(Order), set[str]()
    for key, kind, told in world.stores["checkout"].rows(TOLD).values():
        order = orders.get(key)
        if order is None or order.customer is None:
            continue
        if kind == OrderPaid.type:
            paid |= {key} if told["amount"] else set()
        elif told.get("placed_at"):
            if told["status"] not in CLOSED:  # then it no longer says so
                held = held | {key} if _waits(told) else held - {key}
            if key not in seen and key not in held and not any(vouched[name] for name in names_of(order.customer)):
                yield "newcomers_held", key, "the first order of a customer was not held"
            if key in held and any(item["delivery"] == DeliveryStatus.DELIVERED for item in told["items"]):
                yield "newcomers_held", key, "an order was delivered while it was held"
            seen.add(key)
        if key in paid - held:
            for name in names_of(order.customer):
                vouched[name].add(key)


def _waits(told: Mapping[str, Any]) -> bool:
    """Staff may complete what is held, too."""
    return bool(told.get("held")) and told["status"] != OrderStatus.COMPLETED


def names_of(customer: Customer) -> tuple[str, ...]:
    """By which a customer is known."""
    account = (f"account {customer.id}",) if customer.id and customer.signed_in else ()
    return (customer.email.lower(), *account)
