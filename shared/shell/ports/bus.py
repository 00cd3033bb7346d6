"""What the shell needs of Kafka. `kafka/` is production's; the simulation has one in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared.core.fast_dataclasses import fast
from shared.shell.ports.rows import OutboxRow


class BusUnavailable(Exception):
    """Kafka cannot be reached, or did not take part of what was sent; the same can be tried again."""


@fast
@dataclass(frozen=True, slots=True)
class BusRecord:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    """Values may be null. Names that are not UTF-8 are decoded with `surrogateescape`, which keeps their bytes."""
    value: bytes | None
    at: datetime
    unreadable: str = ""
    """Why it could not be parsed; then nothing is known but the place. It may stand for several up to this offset."""


Positions = Mapping[tuple[str, int], int]
"""By topic and partition: the offset to read next."""


class Source(Protocol):
    """A member of the service's consumer group."""

    async def start(self) -> None: ...

    async def read(self, limit: int) -> Sequence[BusRecord]:
        """Some records, in order per partition; an empty list when nothing came for a while. Raises BusUnavailable."""
        ...

    async def commit(self, positions: Positions) -> None:
        """Remember positions; best effort, they are only a hint (the inbox is the truth)."""
        ...

    def lag(self) -> int:
        """How many records are still to be read, of the assigned partitions and of those that no member reads."""
        ...

    def oldest_unread(self) -> datetime | None:
        """The time of the oldest of these records, or a somewhat earlier one; None when nothing is to be read."""
        ...

    def ready(self) -> bool:
        """Whether the group has assigned partitions to this member, and left none without a member."""
        ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """The outcome of handing rows to Kafka. A row that is not mentioned was not acknowledged and can be handed over
    again."""

    acknowledged: Sequence[int] = ()
    """Ids of rows; of each topic and key the first ones, without a gap."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Error by id of a row that was in a batch which Kafka refuses for good. One of several rows may be the culprit; a
    row that was handed over alone is it."""
    held_up: Mapping[str, str] = field(default_factory=dict)
    """Error by topic that takes nothing at the moment: it is missing, forbidden, or silent while others answer."""
    trouble: str = ""
    """What is wrong with the connection as a whole."""


class Sink(Protocol):
    """A producer: idempotent, acknowledged by all replicas, in order per key."""

    async def start(self) -> None:
        """Start again, as the only producer of the service: once this one has written to a partition, Kafka takes
        nothing there from an earlier one. What is handed over must have been read after this. Raises BusUnavailable."""
        ...

    def started(self) -> bool:
        """False before the first start and after an error: then it must be started again."""
        ...

    async def send(self, rows: Sequence[OutboxRow]) -> Sent:
        """Hand rows over and wait for their acknowledgement. Raises BusUnavailable when none was acknowledged."""
        ...

    async def stop(self) -> None: ...
