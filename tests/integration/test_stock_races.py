"""Two workers at once on PostgreSQL: staff count stock while orders reserve, take and return units of it."""

from __future__ import annotations

import asyncio
import random

import sqlalchemy as sa

from shared.contracts.checkout import OrderCancelled
from shared.contracts.delivery_work import ReturnDelivery, ReturnedLine
from shared.contracts.fulfillment import ShipOrder
from shared.contracts.stock import AdjustStock, SetStock
from shared.core import Message
from shared.shell.inbound.message import Inbound
from shared.shell.ports.clock import SystemClock
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.store import PostgresStore
from shared.shell.shell import Shell
from tests.integration.test_fulfillment_service import (
    Running,
    _ids,
    open_shop,
    running,  # noqa: F401  (the fixture)
)
from tests.integration.test_shell_on_postgres import Collected, NoSource
from tests.unit.fulfillment.examples import PAID, line, placed, refund

KEY = "acme/poster"
ORDERS = 40


async def test_counting_while_orders_come_and_go(running: Running) -> None:  # noqa: F811
    await open_shop(running)
    other = Shell(
        running.shell.registry.service,
        "fulfillment-1",
        store=PostgresStore(running.engine),
        source=NoSource(),
        sink=Collected(),
        lock=lambda: PostgresRelayLock("", "fulfillment-1"),
        clock=SystemClock(),
        rng=random.Random(2),
    )
    rng, shells = random.Random(3), (running.shell, other)

    async def hear(key: str, *messages: Message) -> None:
        for message in messages:
            await rng.choice(shells).batcher.handle([Inbound(next(_ids), key, message)])

    async def order(number: int) -> None:
        key, back = f"r-{number}", ReturnDelivery(items=(ReturnedLine(item="1"),), reason="Too small.")
        lines = (line("1", "poster", 1, shippable=True), line("2", "poster", 1, shippable=True))
        await hear(key, placed(*lines))
        end = rng.choice(
            ((PAID,), (PAID, ShipOrder(carrier="D", tracking="T"), back, refund("1")), (OrderCancelled(),))
        )
        await hear(key, *end)

    async def count() -> None:
        for _ in range(30):
            await hear(
                KEY, rng.choice((SetStock(on_hand=rng.randint(0, 60), reason="c"), AdjustStock(units=5, reason="c")))
            )

    await asyncio.gather(count(), count(), *(order(number) for number in range(ORDERS)))

    async with running.engine.connect() as connection:
        on_hand, reserved = (await connection.execute(sa.text("select on_hand, reserved from stock"))).one()
        moved = (await connection.execute(sa.text("select sum(units), count(*) from stock_movements"))).one()
        held = sa.text(
            "select coalesce(sum((item ->> 'quantity')::int), 0) "
            "from deliveries, jsonb_array_elements(data -> 'items') item "
            "where item ->> 'stock' = 'reserved'"
        )
        assert (await connection.execute(held)).scalar_one() == reserved
    assert moved[0] == on_hand
    assert moved[1] > 30, "something was going on"
