"""What the shell needs of a database. `postgres/store.py` is production's; the simulation has one in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from shared.core import Question, Record
from shared.shell.ports.rows import (
    FIRST_TIMER,
    DestinationPause,
    OperationRow,
    OutboxRow,
    ParkedRow,
    Reply,
    StateRow,
    StateWrite,
    TimerPlace,
    TimerRow,
    UndeliverableRow,
)
from shared.shell.ports.tables import RecordTable, Search, StateTable

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
MOST_PARKED = 8_000_000
"""Bytes of parked messages that are read at once."""


class Conflict(Exception):
    """Another worker created or changed a row in between; roll back and run again."""


class BatchRefused(Exception):
    """The database refuses data that some message led to; halve the batch to find it. The text has no row data."""


class ValueTaken(BatchRefused):
    """A value that must be unique is another row's: the message is decided again, with the next candidate."""


class StoreUnavailable(Exception):
    """The database cannot be reached, or broke the transaction off; the same work can be tried again."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Which rows of the outbox to read: ids above `after`, at most `limit`, and no further once `most_bytes` are
    reached (a single row may be larger), without those of some topics."""

    after: int = 0
    limit: int = 1000
    most_bytes: int = 4_000_000
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """Which transactions that write are in progress, by numbers that are given out in order."""

    oldest: int
    """Of those in progress; at least `following` where there is none."""
    following: int
    """Above all that have begun."""


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """How many operations of a kind to lease, at most, and for how many seconds."""

    kind: str
    limit: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Writes:
    """All that the decisions of a batch change."""

    states: Sequence[tuple[StateTable, Sequence[StateWrite]]] = ()
    records: Sequence[tuple[RecordTable, Sequence[Record]]] = ()
    timers: Sequence[TimerRow] = ()
    """To be set, or to replace the one of that key and name."""
    cancelled: Collection[tuple[str, str]] = ()
    """(key, name) of timers to be removed."""
    operations: Sequence[OperationRow] = ()
    outbox: Sequence[OutboxRow] = ()


class Transaction(Protocol):
    """Everything a batch does, all or nothing. Raises Conflict, BatchRefused or StoreUnavailable."""

    async def claim(
        self, messages: Mapping[UUID, int], keys: Collection[str], at: datetime
    ) -> tuple[set[UUID], dict[str, str]]:
        """Enter messages (identity and content) into the inbox, as first seen at `at`. Returns those that are new, and
        which of `keys` are parked: `newer` where all messages of a key wait for a newer build, or else `failed`."""
        ...

    async def contents(self, ids: Collection[UUID]) -> Mapping[UUID, int]:
        """The contents of messages in the inbox."""
        ...

    async def forget(self, ids: Collection[UUID]) -> None:
        """Take messages that this transaction claimed out of the inbox again."""
        ...

    async def finish(self, operations: Collection[tuple[UUID, str, int]]) -> set[UUID]:
        """Delete operations that are still leased as given (id, leased_by, lease). Returns the ids of those deleted."""
        ...

    async def fire(self, timers: Collection[TimerRow]) -> set[tuple[str, str]]:
        """Delete timers that are still as given. Returns (key, name) of those found so."""
        ...

    async def unpark(self, id: int) -> bool:
        """Delete a parked row; false when it is gone."""
        ...

    async def load(
        self, table: StateTable, keys: Sequence[str], *, lock: bool, known: Mapping[str, int]
    ) -> Mapping[str, StateRow]:
        """The rows that exist. Where one has the version that the caller knows, its data is left out (None): bringing
        it would cost the database more than finding and locking it."""
        ...

    async def search(self, search: Search, questions: Sequence[Question]) -> set[Question]:
        """Those whose answer is yes, by what is committed."""
        ...

    async def write(self, writes: Writes) -> set[UUID]:
        """Write what was decided. Returns the operations whose lease holds: a serial one behind another of its key gets
        none."""
        ...

    async def park(self, rows: Sequence[ParkedRow]) -> None: ...

    async def keep_replies(self, replies: Sequence[Reply]) -> None: ...

    async def reply(self, id: UUID) -> Reply | None: ...


class Store(Protocol):
    """One service's database."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction: committed at the end of the block, rolled back when it raises."""
        ...

    async def lease_operations(
        self,
        worker: str,
        now: datetime,
        requests: Collection[LeaseRequest],
        *,
        since: datetime,
        avoid: Collection[str] = (),
        without: Collection[UUID] = (),
    ) -> Sequence[OperationRow]:
        """Lease operations that are due by `now` and were not yet at `since`, each kind's oldest first: those never
        leased or whose lease ran out. Not those of destinations that are paused or to be avoided, unless their strict
        deadline has come; and `without` some."""
        ...

    async def lease_probe(
        self,
        worker: str,
        now: datetime,
        requests: Collection[LeaseRequest],
        destination: str,
        without: Collection[UUID] = (),
    ) -> OperationRow | None:
        """Lease one operation of a destination, even though that is paused."""
        ...

    async def paused_destinations(self) -> Sequence[DestinationPause]:
        """The destinations that are paused."""
        ...

    async def pause_destination(self, pause: DestinationPause) -> bool:
        """Pause a destination for all workers. False when it was paused already; that pause goes on."""
        ...

    async def claim_probe(self, pause: DestinationPause, probe_at: datetime) -> bool:
        """Be the one who probes a paused destination; the next probe is at `probe_at`. False when another worker was
        first, or the pause is over."""
        ...

    async def resume_destination(self, destination: str) -> bool:
        """End a destination's pause. False when it was not paused."""
        ...

    async def begin_calls(self, rows: Sequence[OperationRow]) -> set[UUID]:
        """Note that calls of leased operations are being begun: `attempts` as given, and in doubt. Returns the ids
        whose lease still holds; the others are left as they are."""
        ...

    async def postpone(self, rows: Sequence[OperationRow]) -> None:
        """Release leased operations, with `due`, `attempts`, `in_doubt`, `abandoned`, `error` and `history` as given.
        Those whose lease is gone are left as they are."""
        ...

    async def release(self, worker: str) -> int:
        """End the leases that an earlier life of this worker left. Returns how many."""
        ...

    async def restore_epoch(self) -> int:
        """How often the database was restored to an earlier point. It changes only while no worker runs."""
        ...

    async def keep_positions(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Note up to which offset (exclusive) each partition is handled, by topic and partition. Never further back: a
        database whose positions are behind Kafka's was restored to an earlier point."""
        ...

    async def due_timers(self, now: datetime, limit: int, after: TimerPlace = FIRST_TIMER) -> Sequence[TimerRow]:
        """The first timers behind `after` that are due by `now`, in the order of their places."""
        ...

    async def outbox_head(self, reach: Reach) -> Sequence[OutboxRow]:
        """The lowest rows in reach, in order."""
        ...

    async def outbox_highest(self) -> int:
        """The highest id in the outbox; 0 when it is empty."""
        ...

    async def running(self) -> Running: ...

    async def outbox_sent(self, ids: Sequence[int]) -> None: ...

    async def mark_undeliverable(self, refused: Mapping[int, str]) -> None:
        """Take rows that Kafka refuses (error by id) out of the outbox and keep them as undeliverable."""
        ...

    async def wait_behind(self, ids: Collection[int]) -> set[int]:
        """Take those rows out of the outbox whose topic and key have an undeliverable one, to wait behind it. Returns
        their ids."""
        ...

    async def undeliverable(self, id: int | None = None, limit: int = 100) -> Sequence[UndeliverableRow]:
        """The records that Kafka refuses, in order, or that of one id; what waits behind them is not listed."""
        ...

    async def waiting_behind(self) -> Mapping[tuple[str, str], int]:
        """How many records wait for each topic and key that has undeliverable ones, these included."""
        ...

    async def send_again(self, id: int, *, drop: bool) -> int | None:
        """Put an undeliverable row and all of its topic and key back into the outbox, in their old order; with `drop`
        all but that row, which is gone for good. Returns how many were put back; None when there is no such row."""
        ...

    async def parked(
        self, key: str | None = None, limit: int = 1000, *, brief: bool = False, most_bytes: int = MOST_PARKED
    ) -> Sequence[ParkedRow]:
        """Parked messages in the order in which they were parked; of one key, or of all. No more when these have
        `most_bytes` of headers and body, but at least one. `brief`: without headers and body, and all."""
        ...

    async def parked_again(self, id: int, error: str, reason: str = "failed") -> None:
        """Note why a retried message failed once more."""
        ...

    async def waiting_for_newer(self, limit: int, after: int = 0) -> Sequence[tuple[int, str]]:
        """The first parked message of keys that wait for a newer build: its id, above `after`, and the key."""
        ...

    async def gauge(self) -> Mapping[str, float]:
        """Sizes and ages, by name: outbox, outbox_age_seconds, operations, operations_late,
        operations_in_doubt, destinations_paused, timers, timers_late, parked, waiting_for_newer, undeliverable; and for
        how long the relay's lock has been held without interruption: relay_session_seconds."""
        ...

    async def housekeep(self, now: datetime, keep_days: int) -> None:
        """Make inbox partitions for the coming days; forget ids that were first seen more than `keep_days` ago."""
        ...

    async def ping(self) -> None: ...
