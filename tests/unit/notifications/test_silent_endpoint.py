"""An endpoint that does not answer, next to one that does, over all the days for which it is tried: real cores, shell
and gateway, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from services.declared import declared
from services.notifications.domain.endpoint import Endpoint, Endpoints
from services.notifications.domain.invariants import broken
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import FindLost, PostWebhook, SendEmail
from services.notifications.gateways.webhook import Webhooks
from services.notifications.storage import storage
from shared.core import NotDone, Outcome, codec, derived_id
from shared.shell.http.outbound import NoResponse, Outbound, Response
from shared.shell.inbound.message import Inbound, Meta
from shared.shell.shell import Shell
from shared.simulation.bus import MemoryBus, MemorySink, MemorySource
from shared.simulation.loop import SeededLoop, run
from shared.simulation.memory_store import MemoryStore
from shared.simulation.relay_lock import AdvisoryLock
from tests.unit.notifications.examples import START, STORE, placed, webhook

ORDERS = 60
SILENT, HEALTHY = "https://silent.example/in", "https://healthy.example/in"


class Internet(Outbound):
    """One receiver that answers, and one that does not."""

    def __init__(self, loop: SeededLoop) -> None:
        super().__init__(private=True)
        self.loop = loop
        self.posts: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        """When each message was posted, by URL and `webhook-id`."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout: float) -> Response:
        self.posts[url, headers["webhook-id"]].append(self.loop.time())
        if url == SILENT:
            await asyncio.sleep(timeout)
            raise NoResponse("silent.example did not answer: time-out")
        await asyncio.sleep(0.05)
        return Response(204, {}, b"")


class MailServer:
    async def perform(self, operation: SendEmail, key: str) -> Outcome:
        return SendEmail.Done()

    async def find(self, operation: SendEmail, key: str) -> NotDone:
        return NotDone()


class Book:
    """Endpoints by id."""

    def __init__(self, *known: Endpoint) -> None:
        self.known = {endpoint.id: endpoint for endpoint in known}

    async def find(self, store: str, endpoint: str) -> Endpoint | None:
        return self.known.get(endpoint)


class LoopClock:
    def __init__(self, loop: SeededLoop) -> None:
        self.loop = loop

    def now(self) -> datetime:
        return START + timedelta(seconds=self.loop.time())


class Store:
    """A worker of notifications with a silent endpoint and a healthy one, and everything that it stores."""

    def __init__(self, loop: SeededLoop) -> None:
        self.loop, self.clock = loop, LoopClock(loop)
        self.internet = Internet(loop)
        self.memory = MemoryStore(lambda statement: asyncio.sleep(0), self.clock.now)
        webhooks = [webhook("silent", ["order.created"], SILENT), webhook("healthy", ["order.created"], HEALTHY)]
        book = Book(*(Endpoint(w.endpoint, w.url, w.events, w.secret, START) for w in webhooks))
        service = replace(
            declared()["notifications"],
            gateways={SendEmail: MailServer(), PostWebhook: Webhooks(self.internet, book), FindLost: MailServer()},
        )
        bus = MemoryBus(self.clock.now, random.Random(1))
        self.shell = Shell(
            service,
            "notifications-0",
            store=self.memory,
            source=MemorySource(bus, "notifications", "notifications-0", ["notifications.commands.v1"]),
            sink=MemorySink(bus),
            lock=lambda: AdvisoryLock().lock("notifications-0", self.memory),
            clock=self.clock,
            rng=random.Random(1),
            poll=5.0,
        )
        self.webhooks = webhooks
        self.ids = (derived_id(UUID(int=3), n, START) for n in count(1))

    async def opens(self) -> None:
        await self.shell.start()
        await self.take([(STORE.id, command) for command in self.webhooks])
        await self.take([(f"o-{n}", placed(number=f"ORD-{n:010d}")) for n in range(ORDERS)])

    async def take(self, messages: Sequence[tuple[str, Any]]) -> None:
        await self.shell.batcher.handle(
            [Inbound(next(self.ids), key, one, Meta(store=STORE.id)) for key, one in messages]
        )

    async def until(self, **time: float) -> None:
        await asyncio.sleep(timedelta(**time).total_seconds() - self.loop.time())

    def logs(self) -> list[NotificationLog]:
        return self._states(NotificationLog)

    def states(self, endpoint: str) -> dict[str, int]:
        found: defaultdict[str, int] = defaultdict(int)
        for log in self.logs():
            for delivery in log.deliveries:
                found[delivery.state] += delivery.endpoint == endpoint
        return {state: n for state, n in found.items() if n}

    def problems(self) -> list[str]:
        (known,) = self._states(Endpoints)
        return [problem for log in self.logs() for problem in broken(log, known)]

    def _states(self, kind: type[Any]) -> list[Any]:
        table = next(table for table in storage.states if table.kind is kind)
        return [codec.load(kind, one.row.data) for one in self.memory.states(table).values() if one.row.data]


def test_a_silent_endpoint_delays_no_other_and_is_really_tried_for_three_days() -> None:
    async def three_days(loop: SeededLoop) -> Store:
        store = Store(loop)
        await store.opens()
        await store.until(minutes=1)
        assert store.states("healthy") == {"delivered": ORDERS}
        await store.until(days=2, hours=23)
        assert store.states("silent") == {"pending": ORDERS}, "nothing is exhausted before its time"
        await store.until(days=4)
        return store

    store = run(1, three_days)

    assert store.states("silent") == {"exhausted": ORDERS}
    assert store.problems() == []
    posts = [times for (url, _), times in store.internet.posts.items() if url == SILENT]
    assert len(posts) == ORDERS, "each was posted"
    fewest, most = min(map(len, posts)), max(map(len, posts))
    assert fewest >= 5
    assert all(times[-1] >= timedelta(days=3).total_seconds() for times in posts), "also at the end of its time"
    assert most <= 40, "back-off grows to hours"
