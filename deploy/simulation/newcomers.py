"""A store that holds each customer's first order: customers who come back, under other addresses or accounts, and staff
who release what is held, or cancel it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator

import orjson

from deploy.check.evidence import Findings
from deploy.simulation.evidence import Broken
from deploy.simulation.tasks import unowned
from deploy.simulation.world import World
from services.checkout.domain.order import Order
from services.checkout.domain.timeline import TimelineEntry
from services.checkout.storage import stores, timeline
from shared.contracts.checkout import CancelOrder, OrderPlaced
from shared.contracts.delivery_work import ReleaseDelivery
from shared.contracts.store_settings import ChangeStore, FulfilmentSettings, StoreSettings
from shared.contracts.values import Customer
from shared.shell.ports.bus import BusRecord

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
    orders = found.of(Order)
    for entry in world.stores["checkout"].rows(timeline.name).values():
        order, released = orders.get(entry.key), _released(entry)
        if order is None or order.customer is None:
            continue
        if entry.what == "order.placed":
            held |= {entry.key} if "Held for verification" in entry.text else set()
            if entry.key not in held and not any(vouched[name] for name in names_of(order.customer)):
                yield "newcomers_held", entry.key, "the first order of a customer was not held"
        elif entry.what == "item.delivered" and entry.key in held:
            yield "newcomers_held", entry.key, "an order was delivered while it was held"
        elif order.purchased and (entry.what == "order.paid" or "paid elsewhere" in entry.text):
            paid.add(entry.key)
        held -= {entry.key} if released else set()
        if entry.key in paid - held:
            for name in names_of(order.customer):
                vouched[name].add(entry.key)


def _released(entry: TimelineEntry) -> bool:
    """By staff, who may complete it, too."""
    completed = entry.what == "order.completed" or entry.text.startswith("Completed manually.")
    return completed or entry.detail.get("action") == "released"


def names_of(customer: Customer) -> tuple[str, ...]:
    """By which a customer is known."""
    account = (f"account {customer.id}",) if customer.id and customer.signed_in else ()
    return (customer.email.lower(), *account)
