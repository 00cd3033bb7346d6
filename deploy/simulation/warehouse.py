"""Staff who deliver by hand: they hold orders and release them, do tasks, send again, revoke and grant again, and count
what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from deploy.simulation.tasks import unowned
from deploy.simulation.world import World
from shared.contracts.checkout import ORDERS
from shared.contracts.delivery_work import (
    GrantAgainDelivery,
    HoldDelivery,
    MarkDeliveredDelivery,
    ParcelDelivered,
    ReleaseDelivery,
    ResendDelivery,
    ReturnDelivery,
    ReturnedLine,
    RevokeDelivery,
)
from shared.contracts.fulfillment import (
    COMMANDS,
    EVENTS,
    ConfigureProduct,
    CourseAccess,
    Download,
    RedemptionCode,
    RetryDelivery,
    ShipOrder,
)
from shared.contracts.payments import RefundLine, RefundPayment
from shared.contracts.stock import AdjustStock
from shared.core import Command
from shared.shell.ports.bus import BusRecord

WHY = "by staff"


class Warehouse:
    def __init__(self, world: World, stock: str, course: CourseAccess) -> None:
        """`stock`: the key of a SKU that is counted. `course`: how the SKU `course` is delivered at first."""
        self.world, self.stock, self._course = world, stock, course
        self._versions = 0
        self.rng = world.rng_of("warehouse")
        self.held: set[str] = set()
        self.latest: set[str] = set()
        """Orders of which staff asked to deliver something as it is configured now."""
        self.replaced: set[tuple[str, str]] = set()
        """Orders and items of which another configuration replaced that of before."""
        self._first: dict[tuple[str, str], int | None] = {}
        """The first configuration of what was bought when nothing was configured; None: there is none yet."""
        world.readers.append(self.read)

    def read(self, record: BusRecord) -> None:
        key, type = (record.key or b"").decode(), (dict(record.headers).get("ce_type") or b"").decode()
        if record.topic == COMMANDS.name and type == "delivery.retry" and b'"latest":true' in (record.value or b""):
            self.latest.add(key)
        if record.topic == ORDERS.name and type in ("order.placed", "order.refunded"):
            self._of_order(type, key)
        elif record.topic == EVENTS.name and type in (
            "item.delivered",
            "item.waiting",
            "item.retried",
            "item.failed",
        ):
            self._of_item(type, key, orjson.loads(record.value or b"{}"))

    def _of_order(self, type: str, key: str) -> None:
        if type == "order.placed" and self.rng.random() < 0.06:
            self.held.add(key)
            self._soon(key, [HoldDelivery(reason=WHY), ReleaseDelivery(reason=WHY)])
        elif type == "order.refunded" and self.rng.random() < 0.7:
            self._soon(key, [self._returned(key)])

    def _of_item(self, type: str, key: str, fact: dict[str, Any]) -> None:
        item = (str(fact["item"]),)
        self._note_configuration(type, (key, item[0]), fact)
        if type == "item.waiting" and fact["code"] == "task":
            self._soon(key, [MarkDeliveredDelivery(items=item, reason=WHY)])
        if type == "item.waiting" and fact["code"] == "shipment" and self.rng.random() < 0.5:
            self._soon(key, [ShipOrder(carrier="Post", tracking="T", executions=item)])
        stuck = type == "item.failed" or fact.get("code") == "pool_empty"
        if stuck and self.rng.random() < 0.5:
            self._configure()
            self._soon(key, [RetryDelivery(items=item)])
        if type == "item.delivered" and fact["instructions"]["kind"] == "shipment" and self.rng.random() < 0.4:
            self._soon(key, [RefundPayment(items=(RefundLine(item=item[0]),)), self._returned(key)])
        if type != "item.delivered" or self.rng.random() > 0.3:
            return
        drawn = self.rng.random()
        if drawn < 0.3:
            self._soon(key, [ResendDelivery(items=item, reason=WHY)])
        elif drawn < 0.55:
            self._soon(key, [RevokeDelivery(items=item, reason=WHY), GrantAgainDelivery(reason=WHY)])
        elif drawn < 0.8:
            self._soon(key, [ParcelDelivered(parcel="1"), self._returned(key)])
        else:
            units = self.rng.choice((-1, 1, 2))
            self.world.publish(AdjustStock(units=units, reason=WHY), self.stock, actor="staff:finn")

    def _note_configuration(self, type: str, place: tuple[str, str], fact: dict[str, Any]) -> None:
        """Facts may be told twice."""
        if type == "item.waiting" and fact["code"] == "not_configured":
            self._first.setdefault(place)
        version = fact.get("configuration") if type == "item.retried" else None
        if not version:
            return
        if place in self._first and self._first[place] is None:
            self._first[place] = version
        elif self._first.get(place) != version:
            self.replaced.add(place)

    def _configure(self) -> None:
        """Other versions of products, which orders of before do not get."""
        self._versions += 1
        store, number = self.stock.partition("/")[0], self._versions
        course = CourseAccess(url=self._course.url, enter=f"https://courses.example/{number}")
        codes = ConfigureProduct(action=RedemptionCode(pool="keys"), further=(Download(file=f"{number}.pdf"),))
        for sku, command in (("course", ConfigureProduct(action=course)), ("key", codes)):
            self.world.publish(command, f"{store}/{sku}", actor="staff:finn")

    def _returned(self, key: str) -> ReturnDelivery:
        """What was sent, or another item: then it is refused."""
        items = self.world.statuses.get(key, {}).get("items", ())
        sent = [item["item"] for item in items if item.get("shippable")] or ["1"]
        return ReturnDelivery(
            items=(ReturnedLine(item=sent[0]),),
            resaleable=self.rng.random() < 0.8,
            refund=self.rng.random() < 0.3,
            reason=WHY,
        )

    def _soon(self, key: str, commands: Sequence[Command]) -> None:
        self.world.keep(unowned(lambda: self._act(key, commands)))

    async def _act(self, key: str, commands: Sequence[Command]) -> None:
        for command in commands:
            await asyncio.sleep(self.rng.random() * self.rng.choice((0.5, 5.0)))
            self.world.publish(command, key, actor="staff:finn", times=2 if self.rng.random() < 0.1 else 1)

    def last_work(self, key: str) -> list[Command]:
        """What an order needs that is not complete yet."""
        release: list[Command] = [ReleaseDelivery(reason=WHY)] if key in self.held else []
        return [*release, GrantAgainDelivery(reason=WHY)]
