"""What the shell needs of a database, as a port. `postgres.py` is production's; the simulation has one in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from shared.core import Record
from shared.core.fast_dataclasses import fast
from shared.shell.ports.tables import RecordTable, StateTable

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Conflict(Exception):
    """Another worker created or changed a row in between; roll back and run again."""


class BatchRefused(Exception):
    """The database refuses what some message brought about; halve the batch to find it. The text has no row data."""


class StoreUnavailable(Exception):
    """The database cannot be reached, or broke the transaction off; the same work can be tried again."""


@fast
@dataclass(frozen=True, slots=True)
class StateRow:
    """A row of a state table. `data` is the state's JSON, or None where nothing was accepted so far."""

    key: str
    version: int
    sequence: int
    data: bytes | str | None


@fast
@dataclass(frozen=True, slots=True)
class StateWrite:
    """The new content of a row; written only if the stored version is `version - 1` (0: there is no row)."""

    row: StateRow
    columns: Mapping[str, Any]
    at: datetime


@fast
@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A record on its way to Kafka."""

    topic: str
    key: str
    headers: bytes
    """JSON: a list of [name, value]."""
    body: bytes
    id: int = 0


@dataclass(frozen=True, slots=True)
class Reach:
    """Which rows of the outbox to read: ids above `after`, at most `limit`, and no further once `most_bytes` are
    reached (a single row may be larger), without those of some topics."""

    after: int = 0
    limit: int = 1000
    most_bytes: int = 4_000_000
    without: tuple[str, ...] = ()


SHOWN_BYTES = 10_000
"""Of a record that is shown to a person."""


@dataclass(frozen=True, slots=True)
class UndeliverableRow:
    """A record that Kafka refuses for good, or one that waits behind such a one of its topic and key."""

    id: int
    """As in the outbox: the order in which the records of a key belong."""
    topic: str
    key: str
    headers: bytes
    body: bytes
    """Its beginning, at most SHOWN_BYTES."""
    size: int
    """Bytes of headers and body."""
    reason: str
    """Kafka's error; empty for a record that only waits."""
    at: datetime
    """When it was set aside."""


@fast
@dataclass(frozen=True, slots=True)
class OperationRow:
    """A call to the outside that is wanted. `lease` numbers its leases; with `leased_by` it says whose turn it is."""

    id: UUID
    key: str
    kind: str
    payload: bytes
    meta: bytes
    due: datetime
    wanted: datetime
    """When it was first wanted."""
    destination: str
    serial: bool = False
    attempts: int = 0
    """Calls begun. For kinds that are safe to repeat, those of a worker that died are missing."""
    lease: int = 0
    leased_by: str = ""
    """Whose lease it is or, where that has ended without a word, whose it was."""
    leased_until: datetime | None = None
    doubt: bool = False
    """A call may have been carried out whose answer never came."""
    abandoned: bool = False
    """A lease ended without a word: for kinds whose beginning is not committed, a call may have been begun."""
    expires: datetime | None = None
    """A strict deadline: when it is leased even though its destination is paused."""
    error: str = ""
    """Why it waits: what the last try came to, also where no call was made."""
    history: bytes = b"[]"
    """JSON: the calls that did not succeed, [{at, error}], the latest 20."""
    occurred: datetime | None = None
    """Since when its key may have been used, should this be no first time (a restored database); None where nobody
    knows."""
    begun: bool = False
    """The beginning of its first call is committed together with it: its turn comes at once. Not stored as such."""


@dataclass(frozen=True, slots=True)
class DestinationPause:
    """A destination that is not called, because of how we are set up, until a probe succeeds or a person resumes it."""

    destination: str
    at: datetime
    """Since when."""
    reason: str
    """What to fix, for operators."""
    by: str
    """The worker that met it."""
    probe_at: datetime
    """When one operation is tried again."""
    probes: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many operations of a kind to lease, at most, and for how many seconds."""

    kind: str
    limit: int
    seconds: float


@fast
@dataclass(frozen=True, slots=True)
class TimerRow:
    key: str
    name: str
    due: datetime
    kind: str
    payload: bytes
    meta: bytes
    id: UUID
    """Derived from the message that set it: what its own effects are derived from."""
    occurred: datetime | None = None
    """`due`, had the message that set it been handled at once; None where nobody knows."""


TimerPlace = tuple[datetime, str, str]
"""Due, key and name: the order in which timers are due."""
FIRST_TIMER: TimerPlace = (datetime(1, 1, 1, tzinfo=UTC), "", "")
"""Before every timer."""
MOST_PARKED = 8_000_000
"""Bytes of parked messages that are read at once."""


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A message that was set aside, whole. `reason` is `failed`, or `behind` another of its key."""

    key: str
    """Under which it waits: the message's, or its place where it has none that can be read."""
    message_id: UUID
    origin: str
    """`record`, `outcome`, `timer`, `report`; or `place`, where only the place and the error could be kept."""
    kind: str
    """Wire type or class name."""
    topic: str
    partition: int
    offset: int
    record_key: bytes | None
    """The record's own key, byte by byte."""
    headers: bytes
    """JSON. Of a record: a list of [name, value], both in hexadecimal; a value may be null, as in Kafka."""
    body: bytes | None
    reason: str
    error: str
    at: datetime
    id: int = 0
    identity: UUID | None = None
    """What the inbox knows it by, where that is not its id alone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP command was answered, kept for its repetition."""

    id: UUID
    fingerprint: str
    code: str
    text: str
    problems: bytes = b"[]"


@dataclass(frozen=True, slots=True)
class Writes:
    """All that the decisions of a batch change."""

    states: Sequence[tuple[StateTable, Sequence[StateWrite]]] = ()
    records: Sequence[tuple[RecordTable, Sequence[Record]]] = ()
    timers: Sequence[TimerRow] = ()
    """To be set, or to replace the one of that key and name."""
    cancelled: Collection[tuple[str, str]] = ()
    """(key, name) of timers that are not wanted any more."""
    operations: Sequence[OperationRow] = ()
    outbox: Sequence[OutboxRow] = ()


class Transaction(Protocol):
    """Everything a batch does, all or nothing. Raises Conflict, BatchRefused or StoreUnavailable."""

    async def claim(
        self, messages: Mapping[UUID, int], keys: Collection[str], at: datetime
    ) -> tuple[set[UUID], set[str]]:
        """Enter messages (identity and content) into the inbox, as first seen at `at`. Returns those that are new, and
        which of `keys` are parked."""
        ...

    async def contents(self, ids: Collection[UUID]) -> Mapping[UUID, int]:
        """What messages in the inbox consisted of."""
        ...

    async def forget(self, ids: Collection[UUID]) -> None:
        """Give up what this transaction claimed: nothing came of it."""
        ...

    async def finish(self, operations: Collection[tuple[UUID, str, int]]) -> set[UUID]:
        """Delete operations that are still leased as given (id, leased_by, lease). Returns the ids found so."""
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

    async def write(self, writes: Writes) -> set[UUID]:
        """Write what was decided. Returns the operations whose lease holds: a serial one behind another of its key gets
        none."""
        ...

    async def park(self, rows: Sequence[ParkedRow]) -> None: ...

    async def keep_answers(self, answers: Sequence[Answer]) -> None: ...

    async def answer(self, id: UUID) -> Answer | None: ...


class Store(Protocol):
    """One service's database."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction: committed at the end of the block, rolled back when it raises."""
        ...

    async def lease_operations(
        self,
        worker: str,
        now: datetime,
        wanted: Collection[Wanted],
        *,
        since: datetime,
        avoid: Collection[str] = (),
    ) -> Sequence[OperationRow]:
        """Lease operations that are due by `now` and were not yet at `since`, each kind's oldest first: those never
        leased or whose lease ran out. Not those of destinations that are paused or to be avoided, unless their strict
        deadline has come."""
        ...

    async def lease_probe(
        self, worker: str, now: datetime, wanted: Collection[Wanted], destination: str
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
        """Enter that calls are being begun for leased operations: their `attempts` as given, and doubt. Returns the ids
        whose lease still holds; for the others nothing was changed."""
        ...

    async def postpone(self, rows: Sequence[OperationRow]) -> None:
        """Give leased operations back, with `due`, `attempts`, `doubt`, `abandoned`, `error` and `history` as given.
        Those whose lease is gone are left alone."""
        ...

    async def release(self, worker: str) -> int:
        """End the leases that an earlier life of this worker left. Returns how many."""
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

    async def outbox_sent(self, ids: Sequence[int]) -> None: ...

    async def set_aside(self, refused: Mapping[int, str]) -> None:
        """Take rows that Kafka refuses (error by id) out of the outbox and keep them as undeliverable."""
        ...

    async def wait_behind(self, ids: Collection[int]) -> set[int]:
        """Take those rows out of the outbox whose topic and key have an undeliverable one, to wait behind it. Returns
        their ids."""
        ...

    async def undeliverable(self, id: int | None = None, limit: int = 100) -> Sequence[UndeliverableRow]:
        """What was set aside, in order, or that of one id; what waits behind them is not listed."""
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

    async def parked_again(self, id: int, error: str) -> None:
        """Note why a retried message failed once more."""
        ...

    async def gauge(self) -> Mapping[str, float]:
        """Sizes and ages, by name: outbox, outbox_age_seconds, operations, operations_late,
        operations_in_doubt, destinations_paused, timers, timers_late, parked, undeliverable; and for how long somebody
        has held the relay's lock without giving it up: relay_session_seconds."""
        ...

    async def housekeep(self, now: datetime, keep_days: int) -> None:
        """Make inbox partitions for the coming days; forget ids that were first seen more than `keep_days` ago."""
        ...

    async def ping(self) -> None: ...
