"""A service whose core does what the test says: meters that count, and totals that they count into."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.core import (
    Command,
    Context,
    Core,
    Decision,
    Event,
    NoOutcome,
    NotDone,
    Operation,
    Outcome,
    Question,
    Record,
    Ref,
    Refusal,
    Refused,
    TimerMessage,
    Topic,
)
from shared.shell.ports.tables import RecordTable, Search, StateTable, Storage
from shared.shell.postgres.tables import state_table
from shared.shell.service import Service

COMMANDS = Topic("meter.commands.v1", owner="meter")
EVENTS = Topic("meter.events.v1", owner="meter")
NOTICES = Topic("other.events.v1", owner="other")
LATEST = Topic("meter.latest.v1", owner="meter", compacted=True)
NEWEST = Topic("meter.newest.v1", owner="meter", compacted=True, coalesced=True)


class Count(Command, type="meter.count", topic=COMMANDS):
    """Count one more. `what` names the answer that the test gave the core; `totals` are locked, `seen` only read;
    `wonders`: it asks whether these totals have anything."""

    what: str = "one more"
    totals: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    wonders: tuple[str, ...] = ()


class Counted(Event, type="meter.counted", topic=EVENTS):
    count: int
    text: str = ""


class Noticed(Event, type="other.noticed", topic=NOTICES):
    """Another service's fact, which the core handles."""

    text: str = "noticed"


class Latest(Event, type="meter.latest", topic=LATEST):
    count: int


class Newest(Event, type="meter.newest", topic=NEWEST):
    count: int


class MeterRefused(Refusal, type="meter.refused", topic=EVENTS):
    pass


@dataclass(frozen=True, slots=True)
class Meter:
    count: int = 0
    received: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Total:
    sum: int = 0


class HasAny(Question):
    """Whether a total has anything."""

    total: str


class Step(Record):
    key: str
    id: UUID
    count: int


class Call(Operation):
    """Call a gateway, any number at once."""

    note: str
    give_up_after = timedelta(seconds=15)
    timeout = 30.0
    first_retry = 8.0

    class Done(Outcome):
        text: str = "called"


class SerialCall(Operation):
    """Call a gateway, one call of a key after the other."""

    note: str
    serial = True

    class Done(Outcome): ...


class RepeatableCall(Operation):
    """Call a gateway that knows a repetition by its key, for an hour."""

    note: str
    give_up_after = timedelta(hours=2)
    safe_to_repeat = True
    key_lifetime = timedelta(hours=1)
    first_retry = 8.0

    class Done(Outcome):
        text: str = "repeated"


class StrictCall(Operation):
    """A call to a place, with a strict deadline."""

    place: str
    note: str = ""
    give_up_after = timedelta(minutes=10)
    deadline_is_strict = True

    def destination(self) -> str:
        return f"place {self.place}"

    class Done(Outcome):
        text: str = "called in time"


class Late(TimerMessage):
    text: str = "late"


class Over(TimerMessage): ...


Decide = Callable[[Meter, Count, Context], Decision[Meter] | Refused]


def one_more(meter: Meter, message: Count, context: Context) -> Decision[Meter]:
    """Counts, tells of it, enters it into a record and into every total that was touched."""
    after = replace(meter, count=meter.count + 1)
    others = {Ref(Total, key): _added(context.row(Total, key)) for key in message.totals}
    step = Step(context.key, context.new_id(), after.count)
    return Decision(after, events=[Counted(count=after.count)], other_states=others, records=[step])


def _added(total: Total | None) -> Total:
    return Total((total or Total()).sum + 1)


def _totals(message: Count, key: str, meter: Meter | None) -> Iterable[Ref[Any]]:
    return [Ref(Total, total) for total in message.totals]


def _seen(message: Count, key: str, meter: Meter | None) -> Iterable[Ref[Any]]:
    return [Ref(Total, total) for total in message.seen]


def _wonders(message: Count, key: str, meter: Meter | None, rows: Mapping[Ref[Any], Any]) -> Iterable[HasAny]:
    return [HasAny(total) for total in message.wonders]


CALLS: tuple[type[Operation], ...] = (Call, SerialCall, RepeatableCall, StrictCall)
Calls = Call | SerialCall | RepeatableCall | StrictCall
Reply = Outcome | NoOutcome
Found = Outcome | NotDone | NoOutcome


@dataclass
class FakeGateway:
    """A gateway that answers as told, then that it called. Remembers what it was asked."""

    replies: list[Reply | Exception] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    async def perform(self, operation: Calls, key: str) -> Reply:
        self.asked.append(("perform", operation.note))
        self.keys.add(key)
        reply = self.replies.pop(0) if self.replies else type(operation).Done()
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def find(self, operation: Calls, key: str) -> Found:
        self.asked.append(("find", operation.note))
        self.keys.add(key)
        return self.found.pop(0) if self.found else NotDone()


metadata = sa.MetaData()
meters = StateTable(
    Meter,
    state_table("meters", metadata, sa.Column("count", sa.Integer)),
    lambda meter: {"count": meter.count},
    lambda key, meter: key.partition("/")[0] if "/" in key else "",
)
totals = StateTable(Total, state_table("totals", metadata))
steps = RecordTable(
    Step,
    sa.Table(
        "steps",
        metadata,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("count", sa.Integer),
    ),
)


SEARCH = Search(
    HasAny,
    totals.table,
    "select n from unnest(cast(:total as text[])) with ordinality as u(total, n) "
    "where (select true from totals where key = u.total and data <> '{}')",
    lambda asked, row: row["key"] == asked.total and row["data"].get("sum", 0) > 0,
)


def meter_service(answers: Mapping[str, Decide], gateway: FakeGateway) -> Service:
    """`answers` by the commands' `what`; looked up when the command is handled."""
    core = Core(Meter)

    @core.begins(Count, locks=_totals, reads=_seen, asks=_wonders)
    def count(meter: Meter | None, message: Count, context: Context) -> Decision[Meter] | Refused:
        return answers.get(message.what, one_more)(meter or Meter(), message, context)

    @core.begins(Late, Over, Noticed)
    def received(meter: Meter | None, message: object, context: Context) -> Decision[Meter] | Refused:
        meter = meter or Meter()
        text = getattr(message, "text", "") or type(message).__qualname__
        after = replace(meter, received=(*meter.received, text))
        return Decision(after, events=[Counted(count=meter.count, text=text)])

    @core.answers(*(outcome for kind in CALLS for outcome in sorted(kind.outcomes(), key=str)))
    def ended(meter: Meter, operation: Operation, outcome: Outcome, context: Context) -> Decision[Meter] | Refused:
        return received(meter, outcome, context)

    return Service(
        name="meter",
        cores=[core],
        consumes={COMMANDS: [Count], NOTICES: [Noticed]},
        emits={EVENTS: [Counted], LATEST: [Latest], NEWEST: [Newest], COMMANDS: [Count]},
        refusal=MeterRefused,
        storage=Storage(metadata, states=[meters, totals], records=[steps], searches=[SEARCH]),
        gateways=dict.fromkeys(CALLS, gateway),
    )
