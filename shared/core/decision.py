"""What a message brings about, what it refuses, and what surrounds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar, cast
from uuid import UUID

from shared.core.fast_dataclasses import fast
from shared.core.ids import effect_id
from shared.core.messages import Attempt, Event, Problem
from shared.core.operation import Operation
from shared.core.struct import Struct

S = TypeVar("S")
R = TypeVar("R")


class TimerMessage(Struct):
    """Base of what a timer says when it is due."""


class Report(Struct):
    """Base of what an outside system tells by a callback (a provider's webhook)."""


@dataclass(frozen=True, slots=True)
class Timer:
    """Hand `message` to the core at `due`. One timer per key and name: a new one replaces the old."""

    due: datetime
    message: TimerMessage
    name: str = ""
    """The message's class name where empty."""

    def named(self) -> str:
        return self.name or type(self.message).__name__


class Record(Struct):
    """Base of a row of an append-only table (timeline, ledger). Its table is in `storage`."""


class Ref(NamedTuple, Generic[R]):
    """Names one row: the class of its state and its key."""

    kind: type[R]
    key: str


@fast
@dataclass(frozen=True, slots=True)
class Decision(Generic[S]):
    """What a message brings about. All of it is committed at once, or nothing."""

    state: S | None
    events: Sequence[Event] = ()
    operations: Sequence[Operation] = ()
    timers: Sequence[Timer] = ()
    cancel: Sequence[type[TimerMessage] | str] = ()
    """Timers that are no longer wanted, by message class or name."""
    records: Sequence[Record] = ()
    other_states: Mapping[Ref[Any], object] = field(default_factory=dict)
    """New states of other rows; the handler must have named them in `locks`."""
    commands: Sequence[tuple[str, Any]] = ()
    """Commands to other keys: (key, Command). They go through the outbox to the command's topic."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A command is not possible. The state stays; whoever sent it reads why."""

    code: str
    text: str
    problems: Sequence[Problem] = ()


class Context:
    """What surrounds a message: its time, who sent it, and the rows that the handler asked for."""

    __slots__ = ("_ids", "actor", "at", "attempts", "calls", "key", "message_id", "operation", "rows", "store")

    def __init__(
        self,
        at: datetime,
        key: str,
        message_id: UUID,
        *,
        actor: str = "system",
        store: str = "",
        rows: Mapping[Ref[Any], object] | None = None,
        operation: Operation | None = None,
        attempts: Sequence[Attempt] = (),
        calls: int = 0,
    ) -> None:
        self.at = at
        self.key = key
        self.message_id = message_id
        self.actor = actor
        self.store = store
        self.rows: Mapping[Ref[Any], object] = rows if rows is not None else {}
        self.operation = operation
        """The operation that an outcome answers."""
        self.attempts = attempts
        """An operation's calls that did not succeed, the latest 20."""
        self.calls = calls
        """How many calls were begun for the operation."""
        self._ids = 0

    def row(self, kind: type[R], key: str) -> R | None:
        """The state of a row that the handler named (`locks`, `reads`); None when there is no such row."""
        return cast("R | None", self.rows[Ref(kind, key)])

    def new_id(self) -> UUID:
        """A fresh id for a row. Derived from the message alone, so that the same decision made again, at whatever
        time, gives the same ids; within the message they are in order."""
        self._ids += 1
        return effect_id(self.message_id, "", self._ids)

    def named_id(self, *names: str) -> UUID:
        """The id of what the message brings about under a name: the same whatever else the message brings about."""
        return effect_id(self.message_id, "\x00".join(names), 0)
