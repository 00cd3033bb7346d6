"""How often an outside system is called, by all workers of a service together.

Workers reserve turns in a table of the service's database, several at a time when many callers wait: about one small
statement per quarter second at full rate, one per call when calls are rare.

    limiter = RateLimiter(PostgresReservations(engine), per_second=25)
    if (seconds := await limiter.turn("POST /v1/charges")) > 0:
        return NotTried("its turn had not come", after=seconds)
    ...the call
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict, deque
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.shell.postgres import PostgresStore
from shared.shell.statements import Sql
from shared.shell.store import StoreUnavailable

BLOCK_SECONDS = 0.25
"""How far ahead turns are reserved. A worker that dies takes no more than twice that with it."""
RESERVE = Sql("""
    insert into rate_limits as stored (name, next_at)
    values (:name, clock_timestamp() + make_interval(secs => cast(:length as float8)))
    on conflict (name) do update set
        next_at = greatest(stored.next_at, clock_timestamp()) + make_interval(secs => cast(:length as float8))
    returning extract(epoch from next_at - clock_timestamp()) - cast(:length as float8) as seconds
""")


class Reservations(Protocol):
    """Where the turns of all workers are kept."""

    async def reserve(self, name: str, length: float) -> float:
        """Take the next `length` seconds of a name. Returns how many seconds from now they begin, 0 or more. Raises
        StoreUnavailable."""
        ...


class PostgresReservations:
    """In the table `rate_limits`. It is unlogged: after a crash of the database the limit begins anew."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._store = PostgresStore(engine)

    async def reserve(self, name: str, length: float) -> float:
        ((seconds,),) = await self._store.fetch(RESERVE, {"name": name, "length": length})
        return max(0.0, float(seconds))


class LocalReservations:
    """In memory, for a single process."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    async def reserve(self, name: str, length: float) -> float:
        now = asyncio.get_running_loop().time()
        begins = max(now, self._next.get(name, 0.0))
        self._next[name] = begins + length
        return begins - now


class RateLimiter:
    """At most `per_second` calls of each name, evenly spaced over all workers; callers get their turns in order."""

    def __init__(self, reservations: Reservations, per_second: float) -> None:
        self._reservations = reservations
        self._gap = 1 / per_second
        self._block = max(1, math.ceil(per_second * BLOCK_SECONDS))
        self._waiting: dict[str, deque[asyncio.Future[float]]] = defaultdict(deque)
        self._serving: dict[str, asyncio.Task[None]] = {}

    async def turn(self, name: str, within: float = 5.0) -> float:
        """Wait for the next turn. Returns 0.0 when it has come. Otherwise no turn was taken: it would come in more than
        `within` seconds, or the database is away; returns after how many seconds to ask again."""
        queue = self._waiting[name]
        if (expected := len(queue) * self._gap) > within:
            return expected
        mine: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        queue.append(mine)
        if name not in self._serving:
            self._serving[name] = asyncio.create_task(self._serve(name))
        try:
            async with asyncio.timeout(within):
                begins = await mine
        except TimeoutError:
            return max(1.0, len(queue) * self._gap)
        if begins < 0:
            return -begins
        await asyncio.sleep(begins - asyncio.get_running_loop().time())
        return 0.0

    async def _serve(self, name: str) -> None:
        """Reserve turns for those who wait, a block at a time, while the block before runs out."""
        loop, queue = asyncio.get_running_loop(), self._waiting[name]
        try:
            while callers := self._next_callers(queue):
                try:
                    seconds = await self._reservations.reserve(name, len(callers) * self._gap)
                except StoreUnavailable:
                    _answer(callers, [-1.0] * len(callers))
                    continue
                first = loop.time() + seconds
                _answer(callers, [first + number * self._gap for number in range(len(callers))])
                if queue:
                    await asyncio.sleep(first + (len(callers) - 1) * self._gap - BLOCK_SECONDS - loop.time())
        finally:
            del self._serving[name]
            left = list(queue)
            queue.clear()
            _answer(left, [-1.0] * len(left))  # it was cancelled

    def _next_callers(self, queue: deque[asyncio.Future[float]]) -> list[asyncio.Future[float]]:
        callers: list[asyncio.Future[float]] = []
        while queue and len(callers) < self._block:
            caller = queue.popleft()
            if not caller.done():
                callers.append(caller)
        return callers


def _answer(callers: list[asyncio.Future[float]], answers: list[float]) -> None:
    for caller, answer in zip(callers, answers, strict=True):
        if not caller.done():
            caller.set_result(answer)
