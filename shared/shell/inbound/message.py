"""A message on its way into a core, wherever it came from: a Kafka record, an outcome, a timer, an HTTP request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, ClassVar
from uuid import UUID
from zlib import crc32

import orjson

from shared.contracts.envelope import BadBody
from shared.contracts.readable import Readable
from shared.core import Attempt, Message, Operation, Problem, derived_id, hashed_id, mixed
from shared.core.fast_dataclasses import fast
from shared.core.ids import salt_of
from shared.shell.ports.rows import OperationRow, ParkedRow, TimerRow

_OTHERS = frozenset({"", "customer", "system"})


@fast
@dataclass(frozen=True, slots=True)
class Meta:
    """What a message hands on to all that it causes, through events, operations and timers."""

    correlation_id: str = ""
    store: str = ""
    traceparent: str = ""
    actor: str = "system"

    def stays_actor(self) -> bool:
        """Whether the actor is one of the staff or an API client, who cause all that follows from what they do."""
        return self.actor not in _OTHERS and not self.actor.startswith("provider:")

    def dump(self) -> bytes:
        return orjson.dumps([self.correlation_id, self.store, self.traceparent, self.actor])

    @staticmethod
    def load(data: bytes | str) -> Meta:
        return Meta(*orjson.loads(data))


@fast
@dataclass(frozen=True, slots=True)
class RecordSource:
    """A record's place in Kafka, and its bytes, in case it must be parked."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    body: bytes | None

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Malformed:
    """A command whose body is invalid: it is refused with all problems."""

    kind: type[Message]
    problems: tuple[Problem, ...]
    readable: Readable | None = None
    """What can be read of it; only where its core checks that."""

    @staticmethod
    def of(wrong: BadBody, readable: Readable | None = None) -> Malformed:
        return Malformed(wrong.kind, wrong.problems, readable)


@dataclass(frozen=True, slots=True)
class Repeated:
    """A message with the id of an earlier one from the same source and other content: a command is refused, a fact
    parked."""

    TEXT: ClassVar[str] = (
        "An earlier message from this source had the same ce_id and other content. Every message needs an id of its "
        "own; only a repetition has the same id."
    )
    kind: type[Message]


@dataclass(frozen=True, slots=True)
class UnknownCommand:
    """A command of a type or version that this service does not handle: it is refused."""

    type: str
    version: int


@dataclass(frozen=True, slots=True)
class WrongEnvelope:
    """A command whose key or headers are invalid, as far as they can be read: it is refused with all problems."""

    type: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A record that cannot be read; it is parked with this error."""

    type: str
    error: str
    unparsed: bool = False
    """Not even by the Kafka client: nothing is known but the place."""
    newer: bool = False
    """Our own service sent it, and checks what it sends: a newer build of it did, which a newer build here can read."""


def type_of(message: object) -> str:
    """Wire type of what is published, class name of what is not."""
    if isinstance(message, Malformed | Repeated):
        return message.kind.type
    if isinstance(message, Undecodable | UnknownCommand | WrongEnvelope):
        return message.type
    return message.type if isinstance(message, Message) else type(message).__qualname__


@dataclass(frozen=True, slots=True)
class Copy:
    """What a message by HTTP is kept as on a topic of its own service, once it is accepted."""

    kind: type[Message]
    body: bytes


@fast
@dataclass(frozen=True, slots=True)
class Inbound:
    """A message, and how it is claimed so that it is handled once."""

    id: UUID
    """The id that its sender gave it."""
    key: str
    message: object
    meta: Meta = field(default_factory=Meta)
    record: RecordSource | None = None
    operation: tuple[OperationRow, Operation] | None = None
    """The row and the operation that this is the outcome of."""
    attempts: tuple[Attempt, ...] = ()
    timer: TimerRow | None = None
    parked: ParkedRow | None = None
    """Set for a parked message that is tried again."""
    reply: asyncio.Future[Any] | None = None
    """A caller waits for the reply (HTTP)."""
    fingerprint: str = ""
    claim: UUID | None = None
    """Its id in the inbox, where that differs from `id`: a hash of source and id."""
    content: int = 0
    """See `content_of`; 0: its repetitions are compared elsewhere, or not compared."""
    copy: Copy | None = None
    """Its repetitions on the topic are compared with this."""
    source: str = ""
    candidate: int = 0
    """See `Context.candidate`."""
    occurred: datetime | None = None
    """The latest time at which it can have happened; None where that is unknown. If this is not the first time that it
    is decided, the outside may have been called for it at any time since then."""
    named: str = ""
    """What its sender calls it, where that is no id, or another than `id`: of the copy of a command by HTTP."""

    @property
    def said_id(self) -> str:
        """What its sender knows it by."""
        return self.named or str(self.id)

    @property
    def identity(self) -> UUID:
        return self.claim or self.id

    @property
    def first_content(self) -> int:
        """What the inbox keeps, for repetitions to be compared with."""
        copy = self.copy
        return self.content if copy is None else content_of(copy.kind.type, self.key, copy.body)

    @property
    def in_inbox(self) -> bool:
        """Whether its id is claimed in the inbox; others are claimed by deleting their row. A parked record that could
        not be read was known by its place only: it does both."""
        if self.parked is not None:
            return self.record is not None and self.parked.identity not in (None, self.identity)
        return self.operation is None and self.timer is None

    @property
    def apart(self) -> UUID:
        """The identity that it has when an earlier message has the same one and other content."""
        return mixed(self.identity, salt_of("content", str(self.content)))


def content_of(type: str, key: str, body: bytes) -> int:
    """A hash by which two messages of one identity are compared: 64 bits (signed), the upper half of type and key, the
    lower half of the body."""
    value = crc32(f"{type} {key}".encode()) << 32 | int.from_bytes(blake2b(body, digest_size=4).digest())
    return value - (1 << 64) if value >> 63 else value


def named_store(message: object) -> str:
    """The id of the store that a message itself names; empty where it names none."""
    kind: type[Any] = type(message)
    may = _has_store_field.get(kind)
    if may is None:
        fields = (getattr(kind, name, ()) for name in ("model_fields", "__dataclass_fields__"))
        may = _has_store_field[kind] = any("store" in names for names in fields)
    named = getattr(message, "store", "") if may else ""
    return named if isinstance(named, str) else ""


_has_store_field: dict[type[Any], bool] = {}
"""A cache: asking a pydantic model for a field that it does not have takes longer than reading one that it has."""


def same_subject(one: int, other: int) -> bool:
    """Whether two contents are of the same type and key."""
    return one >> 32 == other >> 32


def identity_of(source: str, id: UUID) -> UUID:
    """What the inbox knows a message by: CloudEvents identifies a message by its source and its id."""
    return mixed(id, _salt_of(source))


def kept_source(service: str) -> str:
    """The source of the copies of commands that a service accepted over HTTP."""
    return f"{service}/http"


def kept_id(service: str, id: UUID) -> UUID:
    """The id of the copy of a command, by which the inbox of every build knows it as the command: `identity_of` turns
    one into the other and back."""
    return identity_of(kept_source(service), id)


@lru_cache(1024)
def _salt_of(source: str) -> int:
    return salt_of("source", source)


def record_id(topic: str, partition: int, offset: int, at: datetime) -> UUID:
    """The id of a record that has none of its own."""
    return derived_id(hashed_id(topic, str(partition)), offset, at)
