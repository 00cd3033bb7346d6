"""A service whose core does what the test says: tallies that count, and totals that they count into."""

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
    Record,
    Ref,
    Refusal,
    Refused,
    TimerMessage,
    Topic,
)
from shared.shell.ports.tables import RecordTable, StateTable, Storage
from shared.shell.postgres.tables import state_table
from shared.shell.service import Service

COMMANDS = Topic("tally.commands.v1", owner="tally")
EVENTS = Topic("tally.events.v1", owner="tally")
STRUCK = Topic("bell.events.v1", owner="bell")
LATEST = Topic("tally.latest.v1", owner="tally", compacted=True)


class Count(Command, type="tally.count", topic=COMMANDS):
    """Count one more. `what` names the answer that the test gave the core; `totals` are touched, `seen` only read."""

    what: str = "one more"
    totals: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()


class Counted(Event, type="tally.counted", topic=EVENTS):
    count: int
    text: str = ""


class Struck(Event, type="bell.struck", topic=STRUCK):
    """A fact of another's that the core hears."""

    text: str = "struck"


class Latest(Event, type="tally.latest", topic=LATEST):
    count: int


class TallyRefused(Refusal, type="tally.refused", topic=EVENTS):
    pass


@dataclass(frozen=True, slots=True)
class Tally:
    count: int = 0
    heard: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Total:
    sum: int = 0


class Step(Record):
    key: str
    id: UUID
    count: int


class Ring(Operation):
    """Ring a bell, any number at once."""

    note: str
    give_up_after = timedelta(seconds=15)
    timeout = 30.0
    first_retry = 8.0

    class Done(Outcome):
        text: str = "rang"


class Knock(Operation):
    """Knock at a door, one after the other."""

    note: str
    serial = True

    class Done(Outcome): ...


class Toll(Operation):
    """Toll a bell that knows a repetition by its key, for an hour."""

    note: str
    give_up_after = timedelta(hours=2)
    safe_to_repeat = True
    key_lives = timedelta(hours=1)
    first_retry = 8.0

    class Done(Outcome):
        text: str = "tolled"


class Peal(Operation):
    """Ring the bells of a tower; not after the wedding."""

    tower: str
    note: str = ""
    give_up_after = timedelta(minutes=10)
    deadline_is_strict = True

    def destination(self) -> str:
        return f"tower {self.tower}"

    class Done(Outcome):
        text: str = "pealed"


class Late(TimerMessage):
    text: str = "late"


class Over(TimerMessage): ...


Answer = Callable[[Tally, Count, Context], Decision[Tally] | Refused]


def one_more(tally: Tally, message: Count, context: Context) -> Decision[Tally]:
    """Counts, tells of it, enters it into a record and into every total that was touched."""
    after = replace(tally, count=tally.count + 1)
    beside = {Ref(Total, key): _added(context.row(Total, key)) for key in message.totals}
    step = Step(context.key, context.new_id(), after.count)
    return Decision(after, events=[Counted(count=after.count)], other_states=beside, records=[step])


def _added(total: Total | None) -> Total:
    return Total((total or Total()).sum + 1)


def _totals(message: Count, key: str, tally: Tally | None) -> Iterable[Ref[Any]]:
    return [Ref(Total, total) for total in message.totals]


def _seen(message: Count, key: str, tally: Tally | None) -> Iterable[Ref[Any]]:
    return [Ref(Total, total) for total in message.seen]


Bells = Ring | Knock | Toll | Peal
Reply = Outcome | NoOutcome
Found = Outcome | NotDone | NoOutcome


@dataclass
class Bell:
    """A gateway that answers as told, then that it rang. Remembers what it was asked."""

    replies: list[Reply | Exception] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    async def perform(self, operation: Bells, key: str) -> Reply:
        self.asked.append(("perform", operation.note))
        self.keys.add(key)
        reply = self.replies.pop(0) if self.replies else type(operation).Done()
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def find(self, operation: Bells, key: str) -> Found:
        self.asked.append(("find", operation.note))
        self.keys.add(key)
        return self.found.pop(0) if self.found else NotDone()


metadata = sa.MetaData()
tallies = StateTable(
    Tally,
    state_table("tallies", metadata, sa.Column("count", sa.Integer)),
    lambda tally: {"count": tally.count},
    lambda key, tally: key.partition("/")[0] if "/" in key else "",
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


def tally_service(answers: Mapping[str, Answer], bell: Bell) -> Service:
    """`answers` by the commands' `what`; looked up when the command is handled."""
    core = Core(Tally)

    @core.begins(Count, locks=_totals, reads=_seen)
    def count(tally: Tally | None, message: Count, context: Context) -> Decision[Tally] | Refused:
        return answers.get(message.what, one_more)(tally or Tally(), message, context)

    @core.answers(*(outcome for bells in (Ring, Knock, Toll, Peal) for outcome in bells.outcomes()))
    def answered(tally: Tally, operation: Bells, outcome: Outcome, context: Context) -> Decision[Tally] | Refused:
        return heard(tally, outcome, context)

    @core.begins(Late, Over, Struck)
    def heard(tally: Tally | None, message: object, context: Context) -> Decision[Tally]:
        tally = tally or Tally()
        text = getattr(message, "text", "") or type(message).__qualname__
        return Decision(replace(tally, heard=(*tally.heard, text)), events=[Counted(count=tally.count, text=text)])

    return Service(
        name="tally",
        cores=[core],
        consumes={COMMANDS: [Count], STRUCK: [Struck]},
        emits={EVENTS: [Counted], LATEST: [Latest], COMMANDS: [Count]},
        refusal=TallyRefused,
        storage=Storage(metadata, states=[tallies, totals], records=[steps]),
        gateways={Ring: bell, Knock: bell, Toll: bell, Peal: bell},
    )
