"""Customers who buy digital things, and what is seen of their orders: when each was placed, completed and settled."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaProducer

from deploy.check.topics import places_of
from deploy.client.storefront import uuid7
from deploy.demo.basket import COUNTRIES, checkout, person
from deploy.demo.catalogue import Catalogue
from shared.contracts import notifications
from shared.contracts.checkout import ORDERS
from shared.contracts.envelope import Envelope, encode, to_headers
from shared.contracts.storefront import CheckoutOpened, CheckoutSubmitted
from shared.core import Command
from shared.settings import KafkaSettings
from shared.shell.kafka.source import connection, new_consumer
from tests.benchmarks.earlier import Checkouts
from tests.benchmarks.settlement import COUNTED, TOLD, Progress

DIGITAL = ("atlas", "tides", "audiobook", "navigation")
AT_ONCE = 1000
"""Orders at full speed that are not completed yet: enough to keep every service busy."""
TIMEOUT = 60.0
"""Seconds without any progress after which the run is broken."""
TYPES = {name.encode(): name for name in COUNTED}


class Stuck(Exception):
    """Orders were not completed, or not settled."""


@dataclass
class Lives:
    """Some orders' lives. Times in seconds: monotonic, but `latencies` by Kafka's time stamps."""

    wanted: int
    began: float = 0.0
    completed_at: float = 0.0
    """When the last order was completed."""
    settled_at: float = 0.0
    """When the last mail or webhook of the last order was taken."""
    placed: dict[str, int] = field(default_factory=dict)
    """Key to the time stamp of `checkout.submitted`, milliseconds."""
    latencies: list[int] = field(default_factory=list)
    """Milliseconds, placed to completed."""
    progress: dict[str, Progress] = field(default_factory=dict)
    """By key."""
    settled: int = 0

    @property
    def rate(self) -> float:
        """Settled orders per second, from the first published to the last settled."""
        return self.wanted / (self.settled_at - self.began)

    @property
    def rate_until_completed(self) -> float:
        """Orders per second from the first published to the last completed, whatever still waits to be sent then."""
        return self.wanted / (self.completed_at - self.began)

    @property
    def mails(self) -> int:
        return sum(order.mails for order in self.progress.values())

    @property
    def webhooks(self) -> int:
        return sum(order.webhooks for order in self.progress.values())

    def latency(self, share: float) -> int:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    def see(self, key: str, event_type: str, event_id: bytes, at: int, body: bytes = b"") -> bool:
        """Count an event of type COUNTED; `at`: its time stamp, milliseconds. Whether it completed an order."""
        order = self.progress.get(key)
        if order is None:
            return False
        before = order.completed, order.settled
        if event_type == TOLD:
            order.add_record(orjson.loads(body))
        else:
            order.add(event_type, event_id)
        completes = order.completed and not before[0]
        if completes:
            self.latencies.append(at - self.placed.get(key, at))
            if len(self.latencies) == self.wanted:
                self.completed_at = time.monotonic()
        if order.settled and not before[1]:
            self.settled += 1
            if self.settled == self.wanted:
                self.settled_at = time.monotonic()
        return completes

    def missing(self) -> str:
        """What is missing, as a sentence."""
        given_up = sum(order.given_up for order in self.progress.values())
        return (
            f"only {len(self.latencies)} of {self.wanted} orders were completed and {self.settled} settled; "
            f"{self.mails} mails and {self.webhooks} webhooks were taken, {given_up} given up"
        )


class Customers:
    """Publishes checkouts to one system and follows its order events. `prefix`: of that system's topics. `checkouts`:
    an earlier build's, instead of the demo's."""

    def __init__(
        self, settings: KafkaSettings, catalogue: Catalogue, prefix: str = "", checkouts: Checkouts | None = None
    ) -> None:
        self._settings, self._catalogue, self._prefix = settings, catalogue, prefix
        self._checkouts = checkouts
        self._producer = AIOKafkaProducer(**connection(settings), acks="all", enable_idempotence=True, linger_ms=2)
        self._consumer = new_consumer(settings, auto_offset_reset="latest", fetch_max_wait_ms=100)
        self._lives = Lives(0)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._moved = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
        names = [self._prefix + topic.name for topic in (ORDERS, notifications.EVENTS, notifications.STATUS)]
        self._consumer.assign(await places_of(self._settings, names))  # an earlier build does not make all of them
        await self._consumer.seek_to_end()
        for place in self._consumer.assignment():  # the position is fetched now, not with the first record
            await self._consumer.position(place)
        self._following = asyncio.create_task(self._follow(), name="customers")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._following:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
        await self._consumer.stop()
        await self._producer.stop()

    async def buy(self, orders: int, *, per_second: float = 0.0, sample: Callable[[], None] | None = None) -> Lives:
        """Have that many orders lived until all are settled, at a steady pace or as fast as they are completed.
        Raises Stuck."""
        lives = self._lives = Lives(orders)
        self._room = asyncio.Semaphore(AT_ONCE)
        messages = [self._messages(number) for number in range(orders)]
        lives.began = time.monotonic()
        for number, (key, opened, submitted) in enumerate(messages):
            await asyncio.wait_for(self._room.acquire(), TIMEOUT)
            if per_second:
                await asyncio.sleep(max(0.0, lives.began + number / per_second - time.monotonic()))
            lives.progress[key] = Progress()
            await self._send(key, CheckoutOpened, opened)
            sent = await self._send(key, CheckoutSubmitted, submitted)
            sent.add_done_callback(partial(self._placed, lives, key))
            if sample and number % 100 == 0:
                sample()
        while lives.settled < orders:
            await self._until_something_moves(lives)
        if sample:
            sample()
        return lives

    async def _until_something_moves(self, lives: Lives) -> None:
        self._moved.clear()
        try:
            await asyncio.wait_for(self._moved.wait(), TIMEOUT)
        except TimeoutError:
            raise Stuck(lives.missing()) from None

    def _messages(self, number: int) -> tuple[str, bytes, bytes]:
        """Always the same baskets: of one, two or three things, 1.8 in the mean."""
        key = str(uuid7())
        if self._checkouts:
            return key, *self._checkouts.of(number, f"{number}-{key[-6:]}")
        rng = random.Random(number)
        country = rng.choice(list(COUNTRIES))
        skus = [(sku, 1) for sku in rng.sample(DIGITAL, k=rng.choice((1, 1, 2, 2, 3)))]
        customer = person("Ada Lovelace", f"{number}-{key[-6:]}")
        store = self._catalogue.main
        opened = CheckoutOpened(store=store, currency=COUNTRIES[country].currency, country=country)
        return key, encode(opened), encode(checkout(self._catalogue, store, customer, skus, country=country))

    async def _send(self, key: str, message: type[Command], body: bytes) -> asyncio.Future[object]:
        envelope = Envelope(
            id=uuid7(),
            type=message.type,
            source="storefront",
            subject=key,
            time=datetime.now(UTC),
            store=self._catalogue.main,
            actor="customer",
        )
        sent: asyncio.Future[object] = await self._producer.send(
            self._prefix + message.topic.name, body, key=key.encode(), headers=to_headers(envelope)
        )
        return sent

    def _placed(self, lives: Lives, key: str, done: asyncio.Future[object]) -> None:
        lives.placed[key] = getattr(done.result(), "timestamp")  # noqa: B009  # aiokafka is untyped

    async def _follow(self) -> None:
        while True:
            found = await self._consumer.getmany(timeout_ms=1000)
            for records in found.values():
                for record in records:
                    self._see(record)
            if found:
                self._moved.set()

    def _see(self, record: Any) -> None:
        headers = dict(record.headers)
        event_type = TYPES.get(headers.get("ce_type", b""))
        if event_type is None:
            return
        if self._lives.see(record.key.decode(), event_type, headers["ce_id"], record.timestamp, record.value):
            self._room.release()
