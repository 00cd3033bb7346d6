"""The outcome of what `orderbus publish` sent: refusals, and with `--follow` each new status of the orders."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from deploy.cli import console
from deploy.cli.console import counted
from deploy.cli.errors import Failure
from deploy.cli.order_waits import waits
from deploy.cli.watch import show_status
from deploy.client.storefront import Follower, KafkaUnreachable, Read
from shared.contracts.checkout import ORDERS, STATUS, CheckoutRefused
from shared.contracts.values import VOID, OrderStatus
from shared.settings import KafkaSettings

ANSWERED_WITHIN = 5.0
"""Seconds. Checkout answers within a fraction of a second unless it is busy, or does not run."""
ENDS = VOID | {OrderStatus.COMPLETED, OrderStatus.FAILED, OrderStatus.REFUNDED}
"""Statuses at which an order is followed no further."""
QUIET = 2.0
"""Seconds without news of an order after which it is said what it waits for."""


class TimeIsOver(Failure):
    """What was published goes on without the command that followed it."""

    exit_code = 124
    """As of `timeout` in a shell."""


class Records(Protocol):
    def batches(self, timeout: float = 1.0) -> AsyncIterator[list[Read]]: ...


@dataclass
class Outcomes:
    """Of published messages, by their ids: whose order each is, and what was read of it."""

    orders: Mapping[str, str]
    answered: set[str] = field(default_factory=set)
    refused: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id: command, code, text and problems."""
    news: list[Read] = field(default_factory=list)
    """Refusals and statuses that were not shown yet."""
    ended: set[str] = field(default_factory=set)
    """Orders that came to an end."""
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By order: its status record."""

    def take(self, record: Read) -> None:
        cause = record.headers.get("ce_causationid", "")
        if record.topic == ORDERS.name and cause in self.orders:
            self.answered.add(cause)
            if record.type == CheckoutRefused.type:
                self.refused[cause] = record.body
                self.news.append(record)
        elif record.topic == STATUS.name and record.key in self.orders.values() and record.body:
            self.news.append(record)
            self.latest[record.key] = record.body
            if record.body.get("status") in ENDS:
                self.ended.add(record.key)

    @property
    def unanswered(self) -> list[str]:
        return [id for id in self.orders if id not in self.answered]

    @property
    def open_orders(self) -> set[str]:
        """Those that may still change because of the messages."""
        return {order for id, order in self.orders.items() if id not in self.refused} - self.ended

    def waits(self, order: str) -> str:
        """In a sentence, what an open order waits for."""
        known = self.latest.get(order)
        if known is None:
            return f"{order} has no new status: orderbus order {order}"
        name = known.get("number") or order
        return f"{name} {waits(known, name) or known.get('status')}"


async def answers(records: Records, outcomes: Outcomes, within: float = ANSWERED_WITHIN) -> None:
    """Read until each message is answered."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            async for batch in records.batches(timeout=0.2):
                for record in batch:
                    outcomes.take(record)
                if not outcomes.unanswered:
                    return


@dataclass
class Limits:
    """When to say what orders wait for, and when to end."""

    timeout: float | None = None
    """Seconds; None: follow them to their end."""
    quiet: float = QUIET


async def follow(
    records: Records, outcomes: Outcomes, stopping: asyncio.Event, limits: Limits, *, as_json: bool
) -> None:
    """Show refusals and each new status until each order came to an end, or its messages were refused; and what one
    waits for that has no news. Raises TimeIsOver."""
    said: dict[str, str] = {}
    _show_news(outcomes, as_json)
    if not outcomes.open_orders:
        return
    now = asyncio.get_running_loop().time
    began = news = now()
    async for batch in records.batches(timeout=0.2):
        for record in batch:
            outcomes.take(record)
        news = now() if outcomes.news else news
        _show_news(outcomes, as_json)
        if stopping.is_set() or not outcomes.open_orders:
            return
        if now() - news >= limits.quiet:
            _say_what_waits(outcomes, said)
        if limits.timeout is not None and now() - began >= limits.timeout:
            raise _time_is_over(outcomes, limits.timeout)


def _say_what_waits(outcomes: Outcomes, said: dict[str, str]) -> None:
    """Each once, until it is something else."""
    for order in sorted(outcomes.open_orders):
        if said.get(order) != (text := outcomes.waits(order)):
            console.say(text)
            said[order] = text


def _time_is_over(outcomes: Outcomes, seconds: float) -> TimeIsOver:
    left = sorted(outcomes.open_orders)
    first = (outcomes.latest.get(left[0]) or {}).get("number") or left[0]
    lines = [f"After {seconds:g} s not ended: {counted(len(left), 'order')}, which the services go on with."]
    lines += [outcomes.waits(order) for order in left]
    return TimeIsOver("\n".join([*lines, f"To go on: orderbus order {first}, or orderbus watch"]))


def _show_news(outcomes: Outcomes, as_json: bool) -> None:
    for record in outcomes.news:
        if record.topic == STATUS.name:
            show_status(record.key, record.body, as_json=as_json)
        else:
            show_refusal(record, as_json=as_json)
    outcomes.news.clear()


def show_refusals(outcomes: Outcomes) -> None:
    """Those that were not shown yet."""
    for record in outcomes.news:
        if record.topic == ORDERS.name:
            show_refusal(record, as_json=False)
    outcomes.news = [record for record in outcomes.news if record.topic != ORDERS.name]


def show_refusal(record: Read, *, as_json: bool) -> None:
    body = record.body
    if as_json:
        console.show_json({"key": record.key, **body}, line=True)
        return
    console.say(f"Refused: {body['command']} for {record.key} ({body['code']}). {body['text']}")
    for problem in body.get("problems", ()):
        console.say(f"  {problem['field'] or 'message'}: {problem['text']} ({problem['code']})")


class Reader:
    """Reads what is answered from now on; nothing, where the answers cannot be read."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._follower = Follower(settings, [ORDERS, STATUS])
        self._open = AsyncExitStack()
        self.trouble = ""

    async def __aenter__(self) -> Self:
        try:
            await self._open.enter_async_context(self._follower)
        except KafkaUnreachable as trouble:
            self.trouble = str(trouble)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def batches(self, timeout: float = 1.0) -> AsyncIterator[list[Read]]:
        if not self.trouble:
            async for batch in self._follower.batches(timeout):
                yield batch
