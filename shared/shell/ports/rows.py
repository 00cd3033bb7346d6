"""The rows of the shell's own tables, as the store takes and gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.core.fast_dataclasses import fast


@fast
@dataclass(frozen=True, slots=True)
class StateRow:
    """A row of a state table. `data` is the state's JSON, or None where nothing was accepted so far."""

    key: str
    version: int
    sequence: int
    data: bytes | str | None
    shape: int = 0
    """The fingerprint of the class that wrote the data (`codec.shape_of`): a build whose class has the same knows all
    that is there. 0: several builds did."""


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


PROJECTED = "projected"
"""The origin of a parked record that a projection could not read: messages of its key do not wait behind it."""
SHOWN_BYTES = 10_000
"""Of a record that is shown to staff."""


@dataclass(frozen=True, slots=True)
class UndeliverableRow:
    """A record that Kafka refuses for good, or one that waits behind such a record of its topic and key."""

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
    """When it was taken out of the outbox."""


@fast
@dataclass(frozen=True, slots=True)
class OperationRow:
    """A requested call to the outside. `lease` numbers its leases; with `leased_by` it identifies the current one."""

    id: UUID
    key: str
    kind: str
    payload: bytes
    meta: bytes
    due: datetime
    requested_at: datetime
    destination: str
    serial: bool = False
    attempts: int = 0
    """Calls begun. For kinds that are safe to repeat, those of a worker that died are missing."""
    lease: int = 0
    leased_by: str = ""
    """Who has the lease or, where that ended without a report, who had it."""
    leased_until: datetime | None = None
    in_doubt: bool = False
    """A call may have been carried out whose answer never arrived."""
    abandoned: bool = False
    """A lease ended without a report: for kinds whose beginning is not committed, a call may have been begun."""
    expires: datetime | None = None
    """A strict deadline: when it is leased even though its destination is paused."""
    error: str = ""
    """Why it waits: the outcome of the last try, also where no call was made."""
    history: bytes = b"[]"
    """JSON: the calls that did not succeed, [{at, error}], the latest 20."""
    occurred: datetime | None = None
    """Since when its key may have been used, in case it was decided before (a restored database); None where that is
    unknown."""
    begun: bool = False
    """The beginning of its first call is committed together with it: its turn comes at once. Not stored as such."""


@dataclass(frozen=True, slots=True)
class DestinationPause:
    """A destination that is not called, because of how we are set up, until a probe succeeds or staff resume it."""

    destination: str
    at: datetime
    """Since when."""
    reason: str
    """What to fix, for operators."""
    by: str
    """The worker that met the fault."""
    probe_at: datetime
    """When one operation is tried again."""
    probes: int = 0


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
    """`due`, had the message that set it been handled at once; None where that is unknown."""


TimerPlace = tuple[datetime, str, str]
"""Due, key and name: the order in which timers are due."""
FIRST_TIMER: TimerPlace = (datetime(1, 1, 1, tzinfo=UTC), "", "")
"""Before every timer."""


NEWER = "newer"
"""The reason of what waits for a newer build, which takes it up by itself."""


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A message that is parked, whole. `reason` is `failed`; `newer`, where it waits for a build that can read it, or
    the state that it is about; or `behind` another one of its key."""

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
    """Its id in the inbox, where that differs from the message's."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to an HTTP command, kept for its repetition."""

    id: UUID
    fingerprint: str
    code: str
    text: str
    problems: bytes = b"[]"
