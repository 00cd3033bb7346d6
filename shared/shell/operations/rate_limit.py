"""How often an outside system is called, by all workers of a service together.

Workers reserve calls in a table of the service's database, several at a time: for those that wait, and for as many more
as came lately. That is about one small statement per quarter second, and one per call only when calls are rare.

    limiter = RateLimiter(PostgresReservations(engine), per_second=25)
    if (seconds := await limiter.acquire("POST /v1/charges")) > 0:
        return NotTried("the rate limit is reached", after=seconds)
    ...the call
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import Sequence

from shared.shell.ports.reservations import Reservations
from shared.shell.ports.store import StoreUnavailable

BLOCK_SECONDS = 0.25
"""How far ahead calls are reserved. A worker that dies loses no more than twice that."""


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
    """At most `per_second` calls of each name, evenly spaced over all workers; callers are served in order."""

    def __init__(self, reservations: Reservations, per_second: float) -> None:
        self._reservations = reservations
        self._gap = 1 / per_second
        self._block = max(1, math.ceil(per_second * BLOCK_SECONDS))
        self._waiting: dict[str, deque[asyncio.Future[float]]] = defaultdict(deque)
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._ahead: dict[str, _Ahead] = defaultdict(_Ahead)

    async def acquire(self, name: str, within: float = 5.0) -> float:
        """Wait until a call may be made, and return 0.0. Otherwise no call may be made: it would have to wait for more
        than `within` seconds, or the database is away; returns after how many seconds to ask again."""
        queue, ahead = self._waiting[name], self._ahead[name]
        if (
            name not in self._serving
            and (begins := ahead.take(asyncio.get_running_loop().time(), self._gap)) is not None
        ):
            await asyncio.sleep(begins - asyncio.get_running_loop().time())
            return 0.0
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
        """Reserve calls for those that wait, a block at a time, while the previous block runs out."""
        loop, queue, ahead = asyncio.get_running_loop(), self._waiting[name], self._ahead[name]
        try:
            while callers := self._next_callers(queue):
                spare = min(ahead.came_lately(loop.time()), self._block - len(callers))
                try:
                    seconds = await self._reservations.reserve(name, (len(callers) + spare) * self._gap)
                except StoreUnavailable:
                    _answer(callers, [-1.0] * len(callers))
                    continue
                first = loop.time() + seconds
                turns = [first + number * self._gap for number in range(len(callers) + spare)]
                ahead.reserved(turns, len(callers))
                _answer(callers, turns[: len(callers)])
                if queue:
                    await asyncio.sleep(first + (len(callers) - 1) * self._gap - BLOCK_SECONDS - loop.time())
        finally:
            del self._serving[name]
            waiting = list(queue)
            queue.clear()
            _answer(waiting, [-1.0] * len(waiting))  # it was cancelled

    def _next_callers(self, queue: deque[asyncio.Future[float]]) -> list[asyncio.Future[float]]:
        callers: list[asyncio.Future[float]] = []
        while queue and len(callers) < self._block:
            caller = queue.popleft()
            if not caller.done():
                callers.append(caller)
        return callers


class _Ahead:
    """Calls of one name that were reserved before they were asked for. Those not taken in time lapse."""

    def __init__(self) -> None:
        self._turns: deque[float] = deque()
        self._taken = 0
        """Since the last reservation."""
        self._since = 0.0
        self._last = 0.0
        """When the last call was allowed."""

    def take(self, now: float, gap: float) -> float | None:
        """When the next call may be made; None where none is reserved. Late ones keep their distance, too."""
        while self._turns:
            turn = self._turns.popleft()
            if turn >= now - BLOCK_SECONDS:
                self._taken += 1
                self._last = max(turn, now, self._last + gap)
                return self._last
        return None

    def came_lately(self, now: float) -> int:
        """How many calls are likely within the next block, by how many there were since the last one."""
        return int(self._taken * min(1.0, BLOCK_SECONDS / max(now - self._since, 0.001)))

    def reserved(self, turns: Sequence[float], taken: int) -> None:
        self._turns = deque(turns[taken:])
        self._since, self._taken, self._last = turns[0], taken, turns[taken - 1]


def _answer(callers: list[asyncio.Future[float]], answers: list[float]) -> None:
    for caller, answer in zip(callers, answers, strict=True):
        if not caller.done():
            caller.set_result(answer)
