"""Two processes with one worker number are one static member to Kafka: the one that joined last has the place, and the
other is no member any more. aiokafka joins again at once, which evicts the first, and so on. Here a member that lost
its place looks first who has it, and leaves it to another process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.shell.kafka.member_addresses import address_of
from shared.shell.kafka.membership import described
from shared.shell.ports.bus import BusUnavailable

log = structlog.get_logger(__name__)
LOOK_SECONDS = 10.0
RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is in the group by a member's name."""

    id: str
    """Which the group gave it."""
    place: str
    """The URL of its HTTP API; or its host, as the broker sees it."""


async def holder_of(admin: AIOKafkaAdminClient, group: str, name: str) -> Holder | None:
    """Raises BusUnavailable."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await admin.start()
            for _, _, _, _, _, members, *_ in await described(admin, group):
                for id, client, host, metadata, _ in members:
                    if client == name:
                        return Holder(id, address_of(metadata, host) or host.removeprefix("/"))
            return None
    except (KafkaError, OSError, TimeoutError) as error:
        raise BusUnavailable(f"group {group} cannot be read: {type(error).__name__}") from error
    finally:
        await admin.close()


Look = Callable[[], Awaitable[Holder | None]]


class TakenName:
    """Of one member, for as long as its process runs: whether another process has its name."""

    def __init__(self, name: str, look: Look) -> None:
        self.name = name
        self.by: Holder | None = None
        self._look = look
        self._last = ""
        """The id with which we were last in the group."""

    @property
    def number(self) -> str:
        """In words."""
        service, _, number = self.name.removeprefix("orderbus-").rpartition("-")
        return f"worker {number} of {service}"

    def note(self) -> str:
        return f"another process runs as {self.number} ({self.by.place})" if self.by else ""

    async def check(self) -> None:
        """Before joining again. Raises BusUnavailable as long as another process has the name."""
        if not self._last:
            return
        found = await self._look()
        if found is None or found.id == self._last:
            if self.by is not None:
                log.info(f"the other {self.number} has ended, joining the group again")
            self.by = None
            return
        if self.by is None:
            log.error(
                f"another process runs as {self.number}: this one reads no messages until the other has ended; "
                "give each process a number of its own (--worker N)",
                other=found.place,
            )
        self.by = found
        raise BusUnavailable(self.note())

    def guard(self, consumer: AIOKafkaConsumer) -> None:
        """Of a consumer that was started: before it joins again by itself, because the group no longer knows it, it
        checks; if the name is taken, it does nothing until it is stopped.

        A member whose request to join was carried out, but not answered, does not know its own id. So it checks once
        for each time that it was evicted, not for each request.
        """
        coordinator = consumer._coordinator
        join, reset = coordinator._do_rejoin_group, coordinator.reset_generation
        self._last = coordinator.member_id or self._last
        evicted = False

        def reset_generation() -> None:
            nonlocal evicted
            self._last, evicted = coordinator.member_id or self._last, True
            reset()

        async def rejoin(subscription: object) -> bool:
            nonlocal evicted
            if evicted:
                try:
                    await self.check()
                except BusUnavailable:
                    await asyncio.wait([coordinator._closing], timeout=None if self.by else RETRY_SECONDS)
                    return False
                evicted = False
            try:
                joined: bool = await join(subscription)
            except KafkaError:
                evicted = True
                raise
            self._last = coordinator.member_id or self._last
            return joined

        coordinator.reset_generation, coordinator._do_rejoin_group = reset_generation, rejoin
