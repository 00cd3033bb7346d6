"""A small service for tests of the shell: boxes that take things from shelves and are sent away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.core import (
    Command,
    Context,
    Core,
    Decision,
    Event,
    Operation,
    Outcome,
    Record,
    Ref,
    Refusal,
    Refused,
    Timer,
    TimerMessage,
    Topic,
)
from shared.shell.ports.gateway import Gateway
from shared.shell.ports.tables import RecordTable, StateTable, Storage
from shared.shell.postgres.tables import state_table
from shared.shell.service import Service

COMMANDS = Topic("toy.commands.v1", owner="toy")
EVENTS = Topic("toy.events.v1", owner="toy")


class Fill(Command, type="toy.fill", topic=COMMANDS):
    shelf: str
    count: int


class Take(Command, type="toy.take", topic=COMMANDS):
    shelf: str
    count: int = 1
    note: str = ""


class Ship(Command, type="toy.ship", topic=COMMANDS):
    pass


class Explode(Command, type="toy.explode", topic=COMMANDS):
    pass


class Taken(Event, type="toy.taken", topic=EVENTS):
    count: int


class Shipped(Event, type="toy.shipped", topic=EVENTS):
    label: str


class ToyRefused(Refusal, type="toy.refused", topic=EVENTS):
    pass


@dataclass(frozen=True, slots=True)
class Box:
    things: int = 0
    label: str = ""
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Shelf:
    things: int


class Moved(Record):
    key: str
    id: UUID
    count: int
    detail: dict[str, Any]


class SendBox(Operation, serial=True, give_up_after=timedelta(seconds=3), first_retry=0.05):
    things: int

    class Done(Outcome):
        label: str


class Forgotten(TimerMessage):
    pass


boxes = Core(Box, missing=Refused("no_box", "There is no such box."))
shelves = Core(Shelf)


def shelf_of(message: Take, key: str, box: Box | None) -> list[Ref[Any]]:
    return [Ref(Shelf, message.shelf)]


@shelves.begins(Fill)
def fill(shelf: Shelf | None, message: Fill, context: Context) -> Decision[Shelf] | Refused:
    return Decision(Shelf((shelf.things if shelf else 0) + message.count))


@boxes.begins(Take, locks=shelf_of)
def take(box: Box | None, message: Take, context: Context) -> Decision[Box] | Refused:
    shelf = context.row(Shelf, message.shelf)
    if shelf is None or shelf.things < message.count:
        return Refused("empty", "The shelf is empty.")
    box = box or Box()
    return Decision(
        replace(box, things=box.things + message.count),
        events=[Taken(count=message.count)],
        other_states={Ref(Shelf, message.shelf): Shelf(shelf.things - message.count)},
        records=[Moved(context.key, context.new_id(), message.count, {"note": message.note})],
        timers=[Timer(context.at + timedelta(seconds=0.2), Forgotten())],
    )


@boxes.on(Ship)
def ship(box: Box, message: Ship, context: Context) -> Decision[Box] | Refused:
    return Decision(box, operations=[SendBox(box.things)], cancel=[Forgotten])


@boxes.begins(Explode)
def explode(box: Box | None, message: Explode, context: Context) -> Decision[Box]:
    raise RuntimeError("boom")


@boxes.answers(SendBox.Done)
def sent(box: Box, send: SendBox, outcome: SendBox.Done, context: Context) -> Decision[Box]:
    return Decision(replace(box, label=outcome.label), events=[Shipped(label=outcome.label)])


@boxes.answers(SendBox.Failed, SendBox.Unresolved)
def not_sent(box: Box, send: SendBox, outcome: Outcome, context: Context) -> Decision[Box]:
    return Decision(replace(box, label=f"failed after {len(context.attempts)}"))


@boxes.on(Forgotten)
def forgotten(box: Box, message: Forgotten, context: Context) -> Decision[Box]:
    return Decision(replace(box, forgotten=True))


metadata = sa.MetaData()
box_table = state_table(
    "boxes",
    metadata,
    sa.Column("things", sa.Integer),
    sa.Column("tags", postgresql.ARRAY(sa.Text)),
    sa.CheckConstraint("things < 1000"),
)
shelf_table = state_table("shelves", metadata)
moved_table = sa.Table(
    "moved",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("id", postgresql.UUID, primary_key=True),
    sa.Column("count", sa.Integer),
    sa.Column("detail", postgresql.JSONB),
)
storage = Storage(
    metadata,
    states=[
        StateTable(Box, box_table, lambda box: {"things": box.things, "tags": None}),
        StateTable(Shelf, shelf_table),
    ],
    records=[RecordTable(Moved, moved_table)],
)


def toy_service(gateway: Gateway) -> Service:
    return Service(
        name="toy",
        cores=[boxes, shelves],
        consumes={COMMANDS: [Fill, Take, Ship, Explode]},
        emits={EVENTS: [Taken, Shipped]},
        refusal=ToyRefused,
        storage=storage,
        gateways={SendBox: gateway},
    )
