"""What a core is made of: pure functions from state and message to a decision.

A core does no I/O, knows no clock and no random numbers: time and new ids come in by the `Context`.

    message (command, event, outcome, report, timer) ──► handler ──► Decision | Refused
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast
from uuid import UUID

from shared.contracts.envelope import Event, Problem
from shared.contracts.values import Attempt
from shared.swift import swift
from shared.uuids import uuid_of

S = TypeVar("S")
M = TypeVar("M")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Operation:
    """A call to the outside, wanted by a core; a gateway performs it. Subclasses are frozen dataclasses that nest
    their outcomes: `Done`, `Failed`, and `Unresolved` when nobody could find out what became of it."""

    patience: ClassVar[float] = 30.0
    """Seconds that one attempt may take."""
    first_retry: ClassVar[float] = 1.0
    """Seconds before the second attempt where the gateway names none; doubled each time, with jitter."""
    longest_retry: ClassVar[float] = 3600.0
    """Seconds that back-off grows to."""
    give_up_after: ClassVar[timedelta | None] = timedelta(hours=1)
    """How long it is tried, from when it was first wanted. None: until it is done."""
    deadline_is_strict: ClassVar[bool] = False
    """No call is begun after the deadline, even if none was made before: the core is told `Failed("not_tried")`.
    Otherwise an operation that could not be tried in time waits until it can, and is given up after a real try."""
    safe_to_repeat: ClassVar[bool] = False
    """The outside knows a repetition by its idempotency key, so an unknown outcome is settled by asking again. The
    beginning of a call that is not safe to repeat is committed before the call."""
    key_lives: ClassVar[timedelta | None] = None
    """How long the outside remembers an idempotency key, from when the operation was first wanted. After that even an
    operation that is safe to repeat is looked for (`find`) before it is performed. None: for ever."""
    serial: ClassVar[bool] = False
    """One at a time per key, in the order in which they were wanted."""

    def destination(self) -> str:
        """The outside system that the call goes to: what is paused, and limited in its rate, as one."""
        return type(self).__qualname__

    def about(self) -> str:
        """What tells it from others of its kind that the same message wants (an item, an endpoint). Its id is derived
        from it, and so is the same when the message is decided again, whatever else has changed by then."""
        return ""

    def idempotency_key(self, id: UUID) -> str:
        """What the outside knows a repetition by. `id` is the operation's own, derived from the message that wanted it;
        where what is done has a name of its own (an order's second charge), that name is the better key."""
        return str(id)

    def deadline(self, wanted: datetime) -> datetime | None:
        """When it is given up, if nothing came of it. None: never."""
        return None if self.give_up_after is None else wanted + self.give_up_after

    def books_asked_until(self, wanted: datetime) -> datetime | None:
        """Until when the outside's books are asked again, after the deadline, where they do not answer whether it was
        done. None or the deadline: they are asked once."""
        return self.deadline(wanted)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an operation ended, handed to the core as a message. `context.operation` is the operation itself."""


@dataclass(frozen=True, slots=True)
class FailedOutcome(Outcome):
    """The outside said no, for good. `text` says what to fix."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class UnresolvedOutcome(Outcome):
    """Nobody could find out whether it was done. `text` is the last error."""

    text: str


@dataclass(frozen=True, slots=True)
class Retry:
    """A gateway's answer: not done, try again. `after` in seconds, or the operation's own back-off."""

    error: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A gateway's answer: nobody knows whether it was done (a time-out). Before a repetition the shell asks `find`."""

    error: str


@dataclass(frozen=True, slots=True)
class NotTried:
    """A gateway's answer: no call was made (the circuit is open, its turn had not come). Changes neither the number of
    attempts nor the doubt. `after` in seconds, or the operation's own back-off."""

    error: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class OperatorFault:
    """A gateway's answer: certainly not done, because of how we are set up (401, 403, a wrong URL), not because of this
    operation. Its destination is paused until a call succeeds or a person resumes it. `text` is for operators, and
    says what to fix; it never reaches a customer."""

    text: str


NoOutcome = Retry | Unknown | NotTried | OperatorFault
"""What a gateway may answer instead of an outcome: the operation stays wanted."""


@dataclass(frozen=True, slots=True)
class NotDone:
    """A gateway's answer to `find`: it was certainly not done; perform it."""


@dataclass(frozen=True, slots=True)
class TimerMessage:
    """Base of what a timer says when it is due: a frozen dataclass."""


@dataclass(frozen=True, slots=True)
class Report:
    """Base of what an outside system tells by a callback (a provider's webhook): a frozen dataclass."""


@dataclass(frozen=True, slots=True)
class Timer:
    """Hand `message` to the core at `due`. One timer per key and name: a new one replaces the old."""

    due: datetime
    message: TimerMessage
    name: str = ""
    """The message's class name where empty."""

    def named(self) -> str:
        return self.name or type(self.message).__name__


@dataclass(frozen=True, slots=True)
class Record:
    """Base of a row of an append-only table (timeline, ledger): a frozen dataclass. Its table is in `storage`."""


class Ref(NamedTuple, Generic[R]):
    """Names one row: the class of its state and its key."""

    kind: type[R]
    key: str


@swift
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
    beside: Mapping[Ref[Any], object] = field(default_factory=dict)
    """New states of other rows; the handler must have named them with `touches`."""
    sends: Sequence[tuple[str, Any]] = ()
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
        """The state of a row that the handler named (`touches`, `reads`, …); None when there is no such row."""
        return cast("R | None", self.rows[Ref(kind, key)])

    def new_id(self) -> UUID:
        """A fresh id for a row. Derived from the message alone, so that the same decision made again, at whatever
        time, gives the same ids; within the message they are in order."""
        self._ids += 1
        return effect_id(self.message_id, "", self._ids)

    def named_id(self, *names: str) -> UUID:
        """The id of what the message brings about under a name: the same whatever else the message brings about."""
        return effect_id(self.message_id, "\x00".join(names), 0)


def effect_id(cause: UUID, name: str, index: int) -> UUID:
    """The id of one effect of a message, from the message's own id and nothing else.

    The effect of a UUIDv7 is a UUIDv7 of the same time, those of one name in the order of `index`. An id that tells no
    time (version 8) has effects that tell none.
    """
    value = int.from_bytes(blake2b(b"%b%d %b" % (cause.bytes, index, name.encode()), digest_size=16).digest())
    time = cause.int >> 64
    if time >> 12 & 0xF != 7:
        time = value >> 64 & ~0xF000 | 0x8000
    return uuid_of(time << 64 | 0x2 << 62 | (index & 0x3FF) << 52 | value & 0xFFFFFFFFFFFFF)


def mixed(id: UUID, salt: int) -> UUID:
    """Another id of the same time: what comes of one id at several places is told apart by a salt for each."""
    return uuid_of(id.int ^ (salt & 0x3FFFFFFFFFFFFFFF))


def hashed_id(*parts: str) -> UUID:
    """A UUID (version 8, RFC 9562) of texts: for what names itself otherwise, such as an Idempotency-Key."""
    value = int.from_bytes(blake2b("\x00".join(parts).encode(), digest_size=16).digest())
    return uuid_of(value & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62)


def derived_id(source: UUID, index: int, at: datetime) -> UUID:
    """A UUIDv7 (RFC 9562) that is the same whenever it is derived again, of what has a time by itself.

    Sorts by the time `at` (to the microsecond, method 3 of section 6.2), then by `index`; the rest is a hash.
    """
    microseconds = (at - _EPOCH) // timedelta(microseconds=1)
    milliseconds, fraction = divmod(microseconds, 1000)
    digest = blake2b(source.bytes + index.to_bytes(8), digest_size=7).digest()
    tail = (index & 0x3FF) << 52 | int.from_bytes(digest) & 0xFFFFFFFFFFFFF
    return uuid_of(milliseconds << 80 | 0x7 << 76 | (fraction * 4096 // 1000) << 64 | 0x2 << 62 | tail)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


Answer = Decision[S] | Refused
Handler = Callable[[S | None, Any, Context], Decision[S] | Refused]
Rows = Callable[[Any, str], Iterable[Ref[Any]]]
"""Which other rows a message needs, from the message and its key."""
LookUp = Callable[[Any, Any], Iterable[Ref[Any]]]
"""Which other rows a message wants to see, from the message and the state that it meets (None: there is none)."""


@dataclass(frozen=True, slots=True)
class Handling:
    """One registered handler and the rows that it wants beside its own."""

    function: Handler[Any]
    touches: Rows | None = None
    reads: Rows | None = None
    looks_up: LookUp | None = None
    holds: LookUp | None = None


class Core(Generic[S]):
    """The decisions about one kind of state. `core = Core(Order)`, then `@core.on(MessageType)` on each handler."""

    def __init__(self, kind: type[S]) -> None:
        self.kind = kind
        self.handlers: dict[type[Any], Handling] = {}

    def on(
        self,
        *messages: type[Any],
        touches: Rows | None = None,
        reads: Rows | None = None,
        looks_up: LookUp | None = None,
        holds: LookUp | None = None,
    ) -> Callable[[Callable[[S | None, M, Context], Decision[S] | Refused]], Callable[..., Decision[S] | Refused]]:
        """Register the handler of messages. `touches`: rows to lock and perhaps change; `reads`: rows to look at;
        `looks_up`: rows to look at that only the state knows (the endpoints of an order's store); `holds`: rows to lock
        and perhaps change that only the state knows (the stock of an order's SKUs)."""

        def register(
            function: Callable[[S | None, M, Context], Decision[S] | Refused],
        ) -> Callable[..., Decision[S] | Refused]:
            for message in messages:
                if message in self.handlers:
                    raise TypeError(f"{message.__qualname__} has two handlers")
                self.handlers[message] = Handling(function, touches, reads, looks_up, holds)
            return function

        return register

    def decide(self, state: S | None, message: object, context: Context) -> Decision[S] | Refused:
        """Answer one message. Pure: the same arguments give the same answer."""
        handling = self.handlers[type(message)]
        answer: Decision[S] | Refused = handling.function(state, message, context)
        return answer


def context_at(
    at: datetime | None = None,
    key: str = "o-1",
    *,
    actor: str = "system",
    rows: Mapping[Ref[Any], object] | None = None,
    operation: Operation | None = None,
    attempts: Sequence[Attempt] = (),
    message_id: UUID | None = None,
) -> Context:
    """A context for a unit test or a trial."""
    return Context(
        at or datetime(2026, 1, 1, tzinfo=UTC),
        key,
        message_id or UUID("01900000-0000-7000-8000-000000000001"),
        actor=actor,
        rows=rows,
        operation=operation,
        attempts=attempts,
    )
