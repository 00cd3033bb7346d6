"""Sends each message to an order in each situation, on the real core, and says in a few words what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from deploy.documents.lifecycle.messages import GROUPS, LATER, Row
from deploy.documents.lifecycle.situations import SITUATIONS, Life, Situation, reached
from services.checkout.domain.order import Order
from services.declared import declared
from shared.contracts.checkout import OrderStatusRecord
from shared.contracts.order_work import OrderNoted
from shared.core import Event, Refused, Step
from shared.core.ids import hashed_id
from shared.shell.inbound.message import UnknownCommand
from shared.shell.inbound.records import inbound_of
from shared.shell.ports.bus import BusRecord
from shared.shell.service.registry import HandlerRegistry

ALWAYS = ("revision", "updated_at")
"""What every change of an order changes."""
NO_EFFECT = "(No effect: "


class Kind(StrEnum):
    MOVES = "moves"
    CHANGES = "changes"
    REFUSED = "refused"
    NO_EFFECT = "no effect"
    PUBLISHES = "publishes"
    NOTED = "noted"
    LATER = "later"
    NO_ORDER = "no order"
    SKIPPED = "skipped"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Cell:
    kind: Kind
    what: tuple[str, ...] = ()
    """The new status; the changed fields; the refusal's code; why there was no effect."""
    tells: tuple[str, ...] = ()
    """The types of what is published, or sent to another service, besides the status record."""


Check = Callable[[Step], None]
Cells = Mapping[tuple[str, str], Cell]


def walk(situation: Situation, row: Row, check: Check | None = None) -> Cell:
    """`check`: what must hold for the decision."""
    there = reached(situation)
    life = Life(there.rows, there.at, check)
    before = life.row(Order)
    message = row.make(life)
    refused = life.offer(message, actor=row.actor)
    return _cell(before, refused, life, is_fact=isinstance(message, Event))


def _cell(before: Order | None, refused: Refused | None, life: Life, *, is_fact: bool) -> Cell:
    after = life.row(Order)
    if refused:
        return Cell(Kind.REFUSED, (refused.code,))
    if after is None:
        return Cell(Kind.NO_ORDER)
    if before is None or before.status is not after.status:
        return Cell(Kind.MOVES, (after.status.value,))
    return _stays(before, after, life, is_fact=is_fact)


def _stays(before: Order, after: Order, life: Life, *, is_fact: bool) -> Cell:
    """The status does. A fact is in the timeline whatever it does."""
    texts = [event.text for event in life.last.of(OrderNoted)]
    if texts and NO_EFFECT in texts[-1]:
        return Cell(Kind.NO_EFFECT, (texts[-1].partition(NO_EFFECT)[2].removesuffix(".)"),))
    events = tuple(event.type for event in life.published if not isinstance(event, OrderStatusRecord | OrderNoted))
    events += tuple(sent.command.type for sent in life.sent)
    if changed := tuple(_changes(before, after)):
        return Cell(Kind.CHANGES, changed, events)
    if events:
        return Cell(Kind.PUBLISHES, tells=events)
    return Cell(Kind.NOTED if texts or is_fact else Kind.LATER if life.timers else Kind.SILENT)


def _changes(before: Order, after: Order) -> Iterator[str]:
    """The names of what is another now, with the new value where it is one of a few."""
    for field in fields(Order):
        new: Any = getattr(after, field.name)
        if field.name not in ALWAYS and new != getattr(before, field.name):
            yield f"{field.name}={new.value}" if isinstance(new, StrEnum) else field.name


def walked(situations: tuple[Situation, ...] = SITUATIONS, check: Check | None = None) -> dict[tuple[int, str], Cell]:
    """By the situation's place in `SITUATIONS`, and the row's name."""
    rows = [row for group in GROUPS.values() for row in group]
    return {
        (SITUATIONS.index(situation), row.name): walk(situation, row, check) for situation in situations for row in rows
    }


def later(registry: HandlerRegistry | None = None) -> dict[str, Cell]:
    """What the shell does today with a message that no build knows yet, whatever the order's status."""
    registry = registry or HandlerRegistry(declared()["checkout"])
    return {name: _unknown(registry, name, topic) for name, topic in LATER.items()}


def _unknown(registry: HandlerRegistry, name: str, topic: str) -> Cell:
    id = str(hashed_id("lifecycle", name))
    headers = {
        "ce_specversion": "1.0",
        "ce_id": id,
        "ce_type": name,
        "ce_source": topic.partition(".")[0],
        "ce_time": "2026-03-03T14:05:00Z",
        "ce_dataschemaversion": "1",
    }
    encoded = tuple((key, value.encode()) for key, value in headers.items())
    skipped: list[str] = []
    record = BusRecord(topic, 0, 0, b"o-1", encoded, b"{}", reached(SITUATIONS[0]).at)
    inbound = inbound_of(registry, record, lambda type, version: skipped.append(type))
    if inbound is not None and isinstance(inbound.message, UnknownCommand):
        return Cell(Kind.REFUSED, ("unknown_command",))
    return Cell(Kind.SKIPPED) if inbound is None and skipped else Cell(Kind.SILENT)
