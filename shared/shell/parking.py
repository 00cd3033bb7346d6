"""Parked keys, as staff see them: list, try again, skip.

A key is parked by a message that could not be read or that made the core raise; later messages of the key wait behind
it, in order. Retrying goes through them in that order and stops at the first that fails again.

A key also waits where only a newer build can read a message, or the state that it is about. Workers of that build take
it up by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from shared.core.fast_dataclasses import replace
from shared.shell.batch.batcher import Batcher
from shared.shell.batch.result import RetryFailed, StillWaits
from shared.shell.inbound.errors import describe
from shared.shell.inbound.message import Inbound, Undecodable
from shared.shell.inbound.parked_rows import PLACE_ONLY, message_of, record_of
from shared.shell.inbound.records import inbound_of
from shared.shell.ports.clock import Clock
from shared.shell.ports.rows import NEWER, PROJECTED, ParkedRow, TimerRow
from shared.shell.ports.store import Store
from shared.shell.projection.projector import Projector
from shared.shell.service.registry import HandlerRegistry

log = structlog.get_logger(__name__)
LATE = timedelta(minutes=1)
AT_ONCE = 100
MOST_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Released:
    """The outcome of a retry: how many messages were handled, and why it stopped (empty when the key is free)."""

    handled: int
    error: str = ""
    skipped: bool = False
    waits: bool = False
    """It stopped at what only a newer build can read."""


class Parking:
    def __init__(
        self,
        registry: HandlerRegistry,
        store: Store,
        batcher: Batcher,
        clock: Clock,
        projector: Projector | None = None,
    ) -> None:
        self.registry, self.store, self.batcher, self.clock = registry, store, batcher, clock
        self.projector = projector
        self._beyond_us: set[int] = set()
        """Parked messages that this build tried, and that need a newer one still."""

    async def take_up(self) -> int:
        """Handle what waited for a newer build, if this is one. Returns how many messages were handled."""
        handled, after = 0, 0
        while waiting := await self.store.waiting_for_newer(AT_ONCE, after):
            for id, key in waiting:
                after = id
                if id not in self._beyond_us:
                    released = await self.retry(key)
                    handled += released.handled
                    if released.waits and len(self._beyond_us) < MOST_REMEMBERED:
                        self._beyond_us.add(id)
        if handled:
            log.info("messages taken up that waited for this build", count=handled)
        return handled

    async def list(self, limit: int = 1000) -> Sequence[ParkedRow]:
        """What is parked, without the messages themselves."""
        return await self.store.parked(limit=limit, brief=True)

    async def show(self, key: str) -> Sequence[ParkedRow]:
        """The first ones of a key, as many as can be shown."""
        return await self.store.parked(key)

    async def late_timers(self, limit: int = 1000) -> Sequence[TimerRow]:
        """Timers that have been due for more than a minute: as a rule those that this version cannot read."""
        return await self.store.due_timers(self.clock.now() - LATE, limit)

    async def retry(self, key: str) -> Released:
        """Handle the key's messages in order, until one fails or none is left."""
        handled = 0
        while rows := await self.store.parked(key, 100):
            for row in rows:
                try:
                    await self._again(row)
                except RetryFailed as failed:
                    if failed.reason:
                        await self.store.parked_again(row.id, str(failed), failed.reason)
                    return Released(handled, str(failed), waits=failed.reason == NEWER)
                handled += 1
        return Released(handled)

    async def retry_all(self) -> dict[str, str]:
        """Try every key once. Returns why it stopped, by key that is still parked."""
        keys = dict.fromkeys(row.key for row in await self.store.parked(limit=MOST_REMEMBERED, brief=True))
        released = {key: await self.retry(key) for key in keys}
        return {key: one.error for key, one in released.items() if one.error}

    async def skip(self, key: str, id: int | None = None) -> Released:
        """Drop the first message of the key for good, and go on with the others. `id`: only if it is this one, so that
        a repetition drops no other."""
        rows = await self.store.parked(key, 1)
        skipped = bool(rows) and id in (None, rows[0].id)
        if skipped:
            async with self.store.begin() as tx:
                await tx.unpark(rows[0].id)
        return replace(await self.retry(key), skipped=skipped)

    async def _again(self, row: ParkedRow) -> None:
        if self.projector is not None and row.origin == PROJECTED:
            await self.projector.retry_parked(row)
            return
        inbound = self._inbound(row)
        if inbound is None:
            async with self.store.begin() as tx:
                await tx.unpark(row.id)
            return
        if isinstance(inbound.message, Undecodable):
            raise (StillWaits if inbound.message.newer else RetryFailed)(inbound.message.error)
        await self.batcher.retry_parked(inbound)

    def _inbound(self, row: ParkedRow) -> Inbound | None:
        """The message as it was. None for a record that this version of the service no longer handles."""
        if row.origin == PLACE_ONLY:
            raise RetryFailed(row.error)
        try:
            if row.origin != "record":
                return message_of(self.registry, row)
            found = inbound_of(self.registry, record_of(row))
        except Exception as error:
            raise RetryFailed(f"cannot be read: {describe(error)}") from None
        if found is None:
            return None
        # What could not be read when it came was known by its place; now it has an identity.
        own = row.identity is None or row.identity in (found.identity, found.apart)
        return replace(found, parked=row, claim=row.identity if own else found.claim)
