"""The lock that makes one worker of a service its relay. `postgres/relay_lock.py` is production's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from shared.shell.ports.rows import OutboxRow
from shared.shell.ports.store import Reach


class RelayLock(Protocol):
    """Held by the one worker of a service that relays its outbox."""

    async def acquire(self, wake: Callable[[], None]) -> None:
        """Wait until this worker is the relay. `wake` is called when another worker wrote to the outbox, and when the
        lock is lost. Raises StoreUnavailable."""
        ...

    def held(self) -> bool:
        """Whether this worker is still the relay, as far as it knows."""
        ...

    async def head(self, reach: Reach) -> Sequence[OutboxRow]:
        """As `Store.outbox_head`, read by the session that holds the lock. Raises StoreUnavailable once that is
        lost."""
        ...

    async def close(self) -> None: ...
