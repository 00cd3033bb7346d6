"""Webhooks: every event is posted, signed, until the receiver answers 2xx.

Signature: https://docs.stripe.com/webhooks#verify-manually. Stripe guarantees no order and sends more than once; so
does this. The signature's time is the real one, whatever the control API did to the clock, since receivers compare it
with theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TypeVar

import aiohttp
import orjson

from deploy.sandboxes.stripe.books import Event
from deploy.sandboxes.stripe.faults import Faults
from deploy.sandboxes.stripe.store import Store

LOG = logging.getLogger("stripe_sandbox")
T = TypeVar("T")
SUBSCRIBED = frozenset(
    {
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.requires_action",
        "payment_intent.amount_capturable_updated",
        "payment_intent.canceled",
        "setup_intent.succeeded",
        "setup_intent.setup_failed",
        "charge.refunded",
        "charge.refund.updated",
        "charge.expired",
        "refund.created",
        "refund.updated",
        "refund.failed",
    }
)
CONNECTIONS = 8
SWAPPED_SECONDS = 0.05
SWAP_TIMEOUT_SECONDS = 2.0
ANSWER_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go, and which. `first_retry` and `last_retry`: the pause after a failed delivery doubles between
    them."""

    url: str = ""
    secret: str = ""
    first_retry: float = 0.5
    last_retry: float = 30.0
    subscribed: frozenset[str] = SUBSCRIBED

    def at(self, url: str, secret: str) -> Endpoint:
        return replace(self, url=url, secret=secret)


def signature(payload: bytes, secret: str, at: int) -> str:
    """The value of `Stripe-Signature`."""
    signed = hmac.new(secret.encode(), b"%d.%s" % (at, payload), "sha256").hexdigest()
    return f"t={at},v1={signed}"


class Webhooks:
    """Delivers events with a bounded number of connections. Undelivered ones are taken up again after a restart."""

    def __init__(self, store: Store, faults: Faults, endpoint: Endpoint | None) -> None:
        self._store = store
        self._faults = faults
        self._endpoint = endpoint
        self._due: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._timers: set[asyncio.TimerHandle] = set()
        self._held: list[str] | None = None
        self._swapped: str | None = None
        self.attempts = 0

    async def start(self) -> None:
        if self._endpoint is None:
            return
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30)
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        self._tasks = [asyncio.create_task(self._deliver(self._endpoint)) for _ in range(CONNECTIONS)]
        for event_id in tuple(self._store.undelivered):
            self._due.put_nowait((event_id, 0))

    async def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._endpoint is not None:
            await self._session.close()

    def announce(self, event_ids: Iterable[str]) -> None:
        if self._endpoint is None:
            return
        for event_id in event_ids:
            if self._held is not None:
                self._held.append(event_id)
            else:
                self._dispatch(event_id)

    def hold(self) -> None:
        """Nothing new is sent until `release`."""
        self._held = self._held if self._held is not None else []

    def release(self, order: str) -> int:
        """Sends what was held: in its order, `reversed` or `shuffled`."""
        held, self._held = self._held or [], None
        if order == "reversed":
            held.reverse()
        elif order == "shuffled":
            self._faults.rng.shuffle(held)
        for event_id in held:
            self._dispatch(event_id)
        return len(held)

    def _dispatch(self, event_id: str) -> None:
        copies, delay, swap = 1, 0.0, False
        for fault in self._faults.for_event(self._event(event_id).type, cache(partial(self._metadata, event_id))):
            match fault.kind:
                case "webhook_duplicate":
                    copies = fault.copies
                case "webhook_delay":
                    delay += fault.milliseconds / 1000
                case "webhook_shuffle":
                    delay += self._faults.rng.random() * fault.milliseconds / 1000
                case "webhook_swap":
                    swap = True
        if swap and self._swapped is None:
            self._swapped = event_id
            self._later(SWAP_TIMEOUT_SECONDS, self._send_swapped, event_id)
            return
        for _ in range(copies):
            self._later(delay, self._due.put_nowait, (event_id, 0))
        if self._swapped is not None:
            self._later(delay + SWAPPED_SECONDS, self._send_swapped, self._swapped)

    def _send_swapped(self, event_id: str) -> None:
        if self._swapped == event_id:
            self._swapped = None
            self._due.put_nowait((event_id, 0))

    def _later(self, seconds: float, call: Callable[[T], None], argument: T) -> None:
        if seconds <= 0:
            call(argument)
            return

        def fire() -> None:
            self._timers.discard(timer)
            call(argument)

        timer = asyncio.get_running_loop().call_later(seconds, fire)
        self._timers.add(timer)

    def _event(self, event_id: str) -> Event:
        event: Event = self._store.books.shelves[Event].by_id[event_id]
        return event

    def _metadata(self, event_id: str) -> dict[str, str]:
        metadata: dict[str, str] = orjson.loads(self._store.event_text(self._event(event_id)))["data"]["object"].get(
            "metadata", {}
        )
        return metadata

    async def _deliver(self, endpoint: Endpoint) -> None:
        while True:
            event_id, failures = await self._due.get()
            if not await self._post_and_note(endpoint, event_id):
                pause = min(endpoint.last_retry, endpoint.first_retry * 2**failures)
                pause *= random.uniform(0.8, 1.2)  # noqa: S311  (spreads retries)
                self._later(pause, self._due.put_nowait, (event_id, min(failures + 1, 20)))

    async def _post_and_note(self, endpoint: Endpoint, event_id: str) -> bool:
        """False when it has to be sent again: not taken, or the journal could not note that it was."""
        if not await self._post(endpoint, self._store.event_text(self._event(event_id))):
            return False
        try:
            self._store.delivered(event_id)
        except OSError as full:
            LOG.error("the journal cannot be written: %s", full)
            return False
        return True

    async def _post(self, endpoint: Endpoint, payload: bytes) -> bool:
        self.attempts += 1
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(payload, endpoint.secret, int(time.time())),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            async with self._session.post(endpoint.url, data=payload, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
