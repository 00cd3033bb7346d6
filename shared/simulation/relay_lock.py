"""The relay's lock in memory: one holder at a time, lost when its holder is gone or its session breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from shared.shell.ports.rows import OutboxRow
from shared.shell.ports.store import Reach, Store, StoreUnavailable


class AdvisoryLock:
    """One service's advisory lock."""

    def __init__(self) -> None:
        self.holder: MemoryRelayLock | None = None
        self.written = asyncio.Event()

    def lock(self, owner: str, store: Store) -> MemoryRelayLock:
        return MemoryRelayLock(self, owner, store)

    def gone(self, owner: str) -> None:
        """The owner is dead: its session ends."""
        if self.holder is not None and self.holder.owner == owner:
            self.holder = None

    def broken(self) -> None:
        """The holder's session breaks; it learns of it when it next waits."""
        if self.holder is not None:
            self.holder.lost = True
            self.holder = None


class MemoryRelayLock:
    """See `ports.relay_lock`."""

    def __init__(self, lock: AdvisoryLock, owner: str, store: Store) -> None:
        self.advisory, self.owner, self.store = lock, owner, store
        self.lost = False

    async def acquire(self, wake: Callable[[], None]) -> None:
        await asyncio.sleep(0)
        while self.advisory.holder is not None:
            await asyncio.sleep(0.5)
        self.advisory.holder = self

    def held(self) -> bool:
        return not self.lost

    async def head(self, reach: Reach) -> Sequence[OutboxRow]:
        rows = await self.store.outbox_head(reach)
        if self.advisory.holder is not self:
            raise StoreUnavailable("the relay's lock is lost")
        return rows

    async def close(self) -> None:
        if self.advisory.holder is self:
            self.advisory.holder = None
