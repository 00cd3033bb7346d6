"""Row locks as PostgreSQL has them: held to the end of the transaction, shared or exclusive, deadlocks detected."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable

from shared.shell.ports.store import StoreUnavailable

Place = tuple[str, Hashable]
"""A table and a primary key."""


class Locks:
    """Who holds and who waits for which row. An owner is a transaction."""

    def __init__(self) -> None:
        self._held: dict[Place, dict[object, bool]] = {}
        self._of: dict[object, list[Place]] = {}
        self._waits: dict[object, tuple[Place, bool]] = {}
        self._queues: dict[Place, deque[asyncio.Future[None]]] = {}

    async def take(self, place: Place, owner: object, *, exclusive: bool = True) -> None:
        """Wait until no other lock is in the way. Raises StoreUnavailable (as PostgreSQL's 40P01) where that can never
        be."""
        while self._in_the_way(place, owner, exclusive):
            self._waits[owner] = (place, exclusive)
            if self._waits_for_itself(owner):
                del self._waits[owner]
                raise StoreUnavailable("40P01 deadlock")
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queues.setdefault(place, deque()).append(turn)
            try:
                await turn
            finally:
                del self._waits[owner]
        self._enter(place, owner, exclusive)

    def try_take(self, place: Place, owner: object) -> bool:
        """Take an exclusive lock if that needs no waiting (`skip locked`)."""
        if self._in_the_way(place, owner, True):
            return False
        self._enter(place, owner, True)
        return True

    def release(self, owner: object) -> None:
        """The transaction is over."""
        for place in self._of.pop(owner, ()):
            self._leave(place, owner)

    def drop(self, place: Place, owner: object) -> None:
        """What was waited for is gone: there is nothing to hold."""
        self._of[owner].remove(place)
        self._leave(place, owner)

    def _leave(self, place: Place, owner: object) -> None:
        holders = self._held[place]
        del holders[owner]
        if not holders:
            del self._held[place]
        for turn in self._queues.pop(place, ()):
            if not turn.done():
                turn.set_result(None)

    def held(self) -> bool:
        """Whether any lock is held."""
        return bool(self._held)

    def _enter(self, place: Place, owner: object, exclusive: bool) -> None:
        holders = self._held.setdefault(place, {})
        if owner not in holders:
            self._of.setdefault(owner, []).append(place)
        holders[owner] = exclusive or holders.get(owner, False)

    def _in_the_way(self, place: Place, owner: object, exclusive: bool) -> list[object]:
        holders = self._held.get(place, {})
        return [other for other, alone in holders.items() if other is not owner and (exclusive or alone)]

    def _waits_for_itself(self, owner: object) -> bool:
        seen: set[int] = set()
        todo = [owner]
        while todo:
            waiting = self._waits.get(todo.pop())
            if waiting is None:
                continue
            place, exclusive = waiting
            for other in self._held.get(place, {}):
                if other is owner and waiting is not self._waits[owner]:
                    return True
                if id(other) not in seen and other is not owner and (exclusive or self._held[place][other]):
                    seen.add(id(other))
                    todo.append(other)
        return False
