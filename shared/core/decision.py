"""The decision about a message, its refusal, and its context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast
from uuid import UUID

from shared.core.epochs import following
from shared.core.fast_dataclasses import fast
from shared.core.ids import effect_id
from shared.core.messages import Attempt, Event, Problem
from shared.core.operation import Operation
from shared.core.struct import Struct

S = TypeVar("S")
R = TypeVar("R")


class TimerMessage(Struct):
    """Base of the messages that timers deliver."""

    reminds: ClassVar[bool] = False
    """People only are reminded by it: what it is about goes no further by itself."""

    def about(self) -> str:
        """What distinguishes it from others of its class that the same key waits for, as that of an operation does."""
        return ""


class Report(Struct):
    """Base of what an outside system reports in a callback (a provider's webhook)."""


@dataclass(frozen=True, slots=True)
class Timer:
    """Delivers `message` to the core at `due`. One timer per key and name: a new one replaces the old."""

    due: datetime
    message: TimerMessage
    name: str = ""
    """The message's class name where empty."""

    def named(self) -> str:
        return self.name or type(self.message).__name__


class Record(Struct):
    """Base of a row of an append-only table (ledger, history of settings). Its table is in `storage`."""


class Question(Struct):
    """A question about the rows of a table that only a search can answer with yes or no: whether a customer has bought
    before. A handler asks it in `asks`; how it is answered is in `storage`. Fields are texts."""


class Ref(NamedTuple, Generic[R]):
    """Names one row: the class of its state and its key."""

    kind: type[R]
    key: str


@fast
@dataclass(frozen=True, slots=True)
class Decision(Generic[S]):
    """The effects of a message. All of them are committed, or none."""

    state: S | None
    events: Sequence[Event] = ()
    operations: Sequence[Operation] = ()
    timers: Sequence[Timer] = ()
    cancel: Sequence[type[TimerMessage] | str] = ()
    """Timers to cancel, by message class or name."""
    records: Sequence[Record] = ()
    other_states: Mapping[Ref[Any], object] = field(default_factory=dict)
    """New states of other rows; the handler must have named them in `locks`."""
    commands: Sequence[tuple[str, Any]] = ()
    """Commands to other keys: (key, Command). They go through the outbox to the command's topic."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A command is refused. The state is unchanged; `text` tells the sender why."""

    code: str
    text: str
    problems: Sequence[Problem] = ()


class Context:
    """A message's time, sender and key, and the rows that its handler declared."""

    __slots__ = (
        "_ids",
        "actor",
        "answers",
        "at",
        "attempts",
        "calls",
        "candidate",
        "epoch",
        "happened",
        "key",
        "message_id",
        "operation",
        "rows",
        "store",
    )

    def __init__(
        self,
        at: datetime,
        key: str,
        message_id: UUID,
        *,
        actor: str = "system",
        store: str = "",
        rows: Mapping[Ref[Any], object] | None = None,
        answers: Mapping[Question, bool] | None = None,
        operation: Operation | None = None,
        attempts: Sequence[Attempt] = (),
        calls: int = 0,
        candidate: int = 0,
        epoch: int = 0,
        happened: datetime | None = None,
    ) -> None:
        self.at = at
        self.happened = happened or at
        """When it is decided, as is `at`; of a message that is read again after a restore, when it came first."""
        self.key = key
        self.message_id = message_id
        self.actor = actor
        self.store = store
        self.rows: Mapping[Ref[Any], object] = rows if rows is not None else {}
        self.answers: Mapping[Question, bool] = answers if answers is not None else {}
        self.operation = operation
        """The operation that an outcome answers."""
        self.attempts = attempts
        """An operation's calls that did not succeed, the latest 20."""
        self.calls = calls
        """The number of calls that were begun for the operation."""
        self.candidate = candidate
        """Which candidate for a unique value (an order number) to choose: 0, and one more each time that another row
        turned out to have the value."""
        self.epoch = epoch
        """How often the database was restored to an earlier point."""
        self._ids = 0

    def row(self, kind: type[R], key: str) -> R | None:
        """The state of a row that the handler declared (`locks`, `reads`); None if there is no such row."""
        return cast("R | None", self.rows[Ref(kind, key)])

    def answer(self, question: Question) -> bool:
        """By what is committed: what other messages of the batch change is not seen. The handler must have asked."""
        return self.answers[question]

    def revised(self, revision: int) -> int:
        """The revision after this one: above all that were ever told, also by what a restore has undone."""
        return following(revision, self.epoch)

    def new_id(self) -> UUID:
        """A new id for a row. It is derived from the message only, so that the same decision made again gives the same
        ids; within a message they are in order."""
        self._ids += 1
        return effect_id(self.message_id, "", self._ids)

    def named_id(self, *names: str) -> UUID:
        """The id of an effect with a name: the same whatever the message's other effects are."""
        return effect_id(self.message_id, "\x00".join(names), 0)

    def id_of_command(self, type: str, key: str) -> UUID:
        """The id of the first command of its wire type that the decision sends to the key: as the shell gives it."""
        return effect_id(self.message_id, f"{type} {key}", 1)
