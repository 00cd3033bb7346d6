"""Those who follow changes: what each of them wants to know, and what waits to be sent to it."""

from __future__ import annotations

import asyncio
import itertools
import re
from contextlib import suppress
from dataclasses import dataclass

from shared.shell.http.event_stream import event_of

WAITING_MOST = 1_000_000
"""Bytes that wait for one reader. A slower one is cut off; it continues with its `Last-Event-ID`."""
POSITION_MOST = 4000
"""Characters."""
SNAPSHOT = re.compile(r"([1-9]\d{0,18}):([1-9]\d{0,18}):((?:\d{1,19}(?:,\d{1,19})*)?)")


@dataclass(frozen=True, slots=True)
class Position:
    """What a reader was told: whatever had been changed by transactions that this snapshot sees."""

    database: str
    """Of which transactions. Another server, or the same after a restore, counts others."""
    snapshot: str
    """PostgreSQL's `pg_snapshot`."""

    def __str__(self) -> str:
        return f"{self.database}-{self.snapshot}"

    @classmethod
    def read(cls, given: str) -> Position | None:
        """None for what PostgreSQL would not read."""
        database, _, snapshot = given.partition("-")
        found = SNAPSHOT.fullmatch(snapshot) if len(given) <= POSITION_MOST else None
        if not found or not found[0].isascii():
            return None
        first, following = int(found[1]), int(found[2])
        open = [int(each) for each in found[3].split(",") if each]
        rising = all(one < other for one, other in itertools.pairwise([first - 1, *open, following]))
        return cls(database, snapshot) if rising and first <= following else None

    def is_of(self, now: Position) -> bool:
        """Whether it is an earlier one of the same database."""
        return self.database == now.database and self._next <= now._next

    @property
    def _next(self) -> int:
        return int(self.snapshot.split(":")[1])


@dataclass(frozen=True, slots=True)
class OrderChange:
    """An order as it is after a change."""

    store: str
    order: str
    event: bytes


class Follower:
    """One reader, of the orders of some stores or of one order."""

    def __init__(self, stores: frozenset[str] | None, order: str = "", began: str = "") -> None:
        """`stores`: None for all. `order`: only this one; the stream begins with what it is. `began`: the reader's
        `Last-Event-ID`; empty: it begins now."""
        self.stores, self.order, self.began = stores, order, began
        self.ended = False
        """Nothing more is sent: the worker stops, or the reader is too slow."""
        self.came = False
        """A look has found what the reader missed."""
        self._position = ""
        self._waiting: list[bytes] = []
        self._size = 0
        self._filled = asyncio.Event()

    def wants(self, change: OrderChange) -> bool:
        if self.order:
            return change.order == self.order
        return self.stores is None or change.store in self.stores

    def notify(self, *events: bytes) -> None:
        self._size += sum(map(len, events))
        if self._size > WAITING_MOST:
            self.end()
        elif events:
            self._waiting += events
            self._filled.set()

    def seen(self, position: Position) -> None:
        """Everything that it sees was told. The first one is sent at once."""
        if not self._position:
            self._filled.set()
        self._position = f"id: {position}\n"

    def reset(self) -> None:
        """What it missed is not known: it is to read again what it shows."""
        self.notify(event_of("reset", {}))

    def end(self) -> None:
        self.ended = True
        self._filled.set()

    async def news(self, seconds: float) -> bytes:
        """What waits, or comes in time. It ends with the place where the reader continues, which counts once it was
        read to its end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._filled.wait(), seconds)
        self._filled.clear()
        events, self._waiting, self._size = self._waiting, [], 0
        if not events:
            return f"{self._position}: still here\n\n".encode()
        return b"".join((*events[:-1], self._position.encode(), events[-1]))
