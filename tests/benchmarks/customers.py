"""Customers who buy digital things, and what is seen of their orders: when each was placed and completed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.demo.basket import COUNTRIES, checkout, person
from deploy.demo.catalogue import Catalogue
from deploy.storefront import uuid7
from shared.contracts.checkout import ORDERS, OrderCompleted
from shared.contracts.envelope import Command, Envelope, encode, to_headers
from shared.contracts.storefront import CheckoutOpened
from shared.settings import KafkaSettings
from shared.shell.kafka import connection

DIGITAL = ("atlas", "tides", "audiobook", "navigation")
AT_ONCE = 1000
"""Orders in flight at full speed: enough to keep every service busy."""
PATIENCE = 60.0
"""Seconds without any completed order after which the run is broken."""


class Stuck(Exception):
    """Orders did not complete."""


@dataclass
class Lives:
    """Some orders' lives. Times in seconds: monotonic, but `latencies` by Kafka's time stamps."""

    wanted: int
    began: float = 0.0
    ended: float = 0.0
    placed: dict[str, int] = field(default_factory=dict)
    """Key to the time stamp of `checkout.submitted`, milliseconds."""
    latencies: list[int] = field(default_factory=list)
    """Milliseconds, placed to completed."""

    @property
    def rate(self) -> float:
        """Whole orders per second, from the first published to the last completed."""
        return self.wanted / (self.ended - self.began)

    def latency(self, share: float) -> int:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Customers:
    """Publishes checkouts to one system and follows its order events. `prefix`: of that system's topics."""

    def __init__(self, settings: KafkaSettings, catalogue: Catalogue, prefix: str = "") -> None:
        self._settings, self._catalogue, self._prefix = settings, catalogue, prefix
        self._producer = AIOKafkaProducer(**connection(settings), acks="all", enable_idempotence=True, linger_ms=2)
        self._consumer = AIOKafkaConsumer(
            prefix + ORDERS.name,
            **connection(settings),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_max_wait_ms=100,
        )
        self._lives = Lives(0)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._moved = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
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
        """Have that many orders lived, at a steady pace or as fast as they are completed. Raises Stuck."""
        lives = self._lives = Lives(orders)
        self._room = asyncio.Semaphore(AT_ONCE)
        messages = [self._messages(number) for number in range(orders)]
        lives.began = time.monotonic()
        for number, (key, opened, submitted) in enumerate(messages):
            await asyncio.wait_for(self._room.acquire(), PATIENCE)
            if per_second:
                await asyncio.sleep(max(0.0, lives.began + number / per_second - time.monotonic()))
            await self._send(key, opened)
            sent = await self._send(key, submitted)
            sent.add_done_callback(partial(self._placed, lives, key))
            if sample and number % 100 == 0:
                sample()
        while len(lives.latencies) < orders:
            await self._until_something_moves(lives)
        lives.ended = time.monotonic()
        if sample:
            sample()
        return lives

    async def _until_something_moves(self, lives: Lives) -> None:
        self._moved.clear()
        try:
            await asyncio.wait_for(self._moved.wait(), PATIENCE)
        except TimeoutError:
            raise Stuck(f"only {len(lives.latencies)} of {lives.wanted} orders were completed") from None

    def _messages(self, number: int) -> tuple[str, Command, Command]:
        """Always the same baskets: of one, two or three things, 1.8 in the mean."""
        chance = random.Random(number)
        key, country = str(uuid7()), chance.choice(list(COUNTRIES))
        skus = [(sku, 1) for sku in chance.sample(DIGITAL, k=chance.choice((1, 1, 2, 2, 3)))]
        customer = person("Ada Lovelace", f"{number}-{key[-6:]}")
        store = self._catalogue.main
        opened = CheckoutOpened(store=store, currency=COUNTRIES[country][0], country=country)
        return key, opened, checkout(self._catalogue, store, customer, skus, country=country)

    async def _send(self, key: str, message: Command) -> asyncio.Future[object]:
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
            self._prefix + message.topic.name, encode(message), key=key.encode(), headers=to_headers(envelope)
        )
        return sent

    def _placed(self, lives: Lives, key: str, done: asyncio.Future[object]) -> None:
        lives.placed[key] = getattr(done.result(), "timestamp")  # noqa: B009  # aiokafka is untyped

    async def _follow(self) -> None:
        wanted = ("ce_type", OrderCompleted.type.encode())
        while True:
            found = await self._consumer.getmany(timeout_ms=1000)
            lives = self._lives
            for records in found.values():
                for record in records:
                    placed = lives.placed.get(record.key.decode()) if wanted in record.headers else None
                    if placed is not None:
                        lives.latencies.append(record.timestamp - placed)
                        self._room.release()
                        self._moved.set()
