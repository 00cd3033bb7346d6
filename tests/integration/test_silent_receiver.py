"""One webhook receiver that accepts connections but never answers, next to a healthy one: through notifications' HTTP
API, on PostgreSQL, with real sockets."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from services.notifications.storage import StoredLost, read_notification_log
from shared.shell.inbound.message import Inbound
from tests.integration.test_notifications_service import Running, new_id, running
from tests.unit.notifications.examples import STORE, placed

__all__ = ["running"]

ORDERS = 300
HELD = re.compile(rb"webhook-id: (\S+)", re.IGNORECASE)


@dataclass
class SilentReceiver:
    """Reads a request, counts it by its `webhook-id`, and answers 204 only once it is `awake`."""

    url: str = ""
    awake: bool = False
    posts: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            found = HELD.search(head)
            self.posts[found[1].decode() if found else ""] += 1
            if not self.awake:
                await reader.read()  # until the other side hangs up
                return
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")


@asynccontextmanager
async def silent_receiver() -> AsyncIterator[SilentReceiver]:
    receiver = SilentReceiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/in"
    try:
        yield receiver
    finally:
        server.close()


async def states(running: Running, endpoint: str) -> Counter[str]:
    """How many deliveries to an endpoint are in which state."""
    found: Counter[str] = Counter()
    for number in range(ORDERS):
        log = await read_notification_log(running.engine, f"o-{number}")
        assert log
        found.update(delivery.state for delivery in log.deliveries if delivery.endpoint == endpoint)
    return found


async def eventually(running: Running, endpoint: str, wanted: Counter[str], seconds: float) -> None:
    seen: Counter[str] = Counter()
    for _ in range(int(seconds)):
        seen = await states(running, endpoint)
        if seen == wanted:
            return
        await asyncio.sleep(1)
    raise AssertionError(seen)


async def register(running: Running, url: str, name: str) -> str:
    request = {"url": url, "events": ["order.created"]}
    status, made = await running.ask("POST", f"/stores/{STORE.id}/webhooks", request, name)
    assert status == 201
    return str(made["endpoint"])


async def test_a_silent_receiver_delays_no_other_and_pending_deliveries_say_why(running: Running) -> None:
    async with silent_receiver() as silent:
        mute = await register(running, silent.url, "mute")
        well = await register(running, running.receiver.url, "well")
        orders = [placed(number=f"ORD-{number:010d}") for number in range(ORDERS)]
        await running.shell.batcher.handle([Inbound(new_id(), f"o-{n}", order) for n, order in enumerate(orders)])

        await eventually(running, well, Counter(delivered=ORDERS), 20)
        await asyncio.sleep(12)  # the first posts have timed out
        assert await states(running, mute) == Counter(pending=ORDERS)
        await shows_why_it_waits(running, mute)

        silent.awake = True
        for _ in range(6):  # what is due in minutes is due now
            running.clock.move(minutes=10)
            with suppress(AssertionError):
                await eventually(running, mute, Counter(delivered=ORDERS), 10)
                break
        await eventually(running, mute, Counter(delivered=ORDERS), 30)
    assert len(silent.posts) == ORDERS
    assert await StoredLost(running.engine).page(STORE.id, "lost_deliveries", "", 10) == []


async def shows_why_it_waits(running: Running, endpoint: str) -> None:
    tried = 0
    for number in range(ORDERS):
        _, told = await running.ask("GET", f"/orders/o-{number}/notifications")
        hook: dict[str, Any] = next(one for one in told["webhooks"] if one["endpoint"] == endpoint)
        waits = hook["waiting"]
        assert waits["since"] and (waits["next_try"] or waits["under_way"] or waits["paused"])
        tried += waits["attempts"] > 0
        assert bool(waits["error"]) >= bool(waits["attempts"]), "a failed try says why"
    assert tried, "some were really tried"
