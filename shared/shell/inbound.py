"""One message on its way into a core, wherever it came from: a Kafka record, an outcome, a timer, an HTTP request."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from shared.contracts.envelope import BadBody, Message, Problem
from shared.contracts.values import Attempt
from shared.shell.core import Operation, derived_id
from shared.shell.store import OperationRow, ParkedRow, TimerRow
from shared.swift import swift


@swift
@dataclass(frozen=True, slots=True)
class Meta:
    """What travels along: through events, operations and timers."""

    correlation_id: str = ""
    store: str = ""
    traceparent: str = ""
    actor: str = "system"

    def dump(self) -> bytes:
        return orjson.dumps([self.correlation_id, self.store, self.traceparent, self.actor])

    @staticmethod
    def load(data: bytes | str) -> Meta:
        return Meta(*orjson.loads(data))


@swift
@dataclass(frozen=True, slots=True)
class RecordSource:
    """Where in Kafka it was, and its bytes, in case it must be parked."""

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
    """A command or checkout message whose body is wrong: it is refused with all problems."""

    kind: type[Message]
    problems: tuple[Problem, ...]

    @staticmethod
    def of(wrong: BadBody) -> Malformed:
        return Malformed(wrong.kind, wrong.problems)


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A record that nobody can read; it is parked with this error."""

    type: str
    error: str
    lost: bool = False
    """Not even the Kafka client could: nothing is known but the place."""


@swift
@dataclass(frozen=True, slots=True)
class Inbound:
    """A message and how to make sure that it is handled once (its claim)."""

    id: UUID
    key: str
    message: object
    meta: Meta = field(default_factory=Meta)
    record: RecordSource | None = None
    operation: tuple[OperationRow, Operation] | None = None
    """The row and the operation that an outcome answers."""
    attempts: tuple[Attempt, ...] = ()
    timer: TimerRow | None = None
    parked: ParkedRow | None = None
    """It is a parked message, tried again."""
    reply: asyncio.Future[Any] | None = None
    """Somebody waits for the answer (HTTP)."""
    fingerprint: str = ""

    @property
    def in_inbox(self) -> bool:
        """Its id is claimed in the inbox; others are claimed by deleting their row."""
        return self.operation is None and self.timer is None and self.parked is None


def hashed_id(*parts: str) -> UUID:
    """A UUID (version 8, RFC 9562) of texts: for what names itself otherwise, such as an Idempotency-Key."""
    digest = hashlib.blake2b("\x00".join(parts).encode(), digest_size=16).digest()
    value = int.from_bytes(digest) & ~(0xF << 76) | (0x8 << 76)
    return UUID(int=value & ~(0x3 << 62) | (0x2 << 62))


def timer_id(row: TimerRow) -> UUID:
    return derived_id(hashed_id(row.key, row.name), 0, row.due)


def record_id(topic: str, partition: int, offset: int, at: datetime) -> UUID:
    """The id of a record that has none of its own."""
    return derived_id(hashed_id(topic, str(partition)), offset, at)
