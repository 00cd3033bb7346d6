"""Whole simulated runs: all that checkout's timeline says is found in what staff render from the run's events."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import pytest

from deploy.simulation.run import simulate
from deploy.simulation.world import BEGINNING, World
from services.checkout.domain.timeline import TimelineEntry as CheckoutEntry
from services.checkout.storage import storage
from services.staff.domain import PROJECTION
from services.staff.domain.archive import EventRow
from services.staff.domain.timeline import TimelineEntry, timeline
from services.staff.storage import read_models
from shared.contracts.envelope import BadMessage, decode, from_headers
from shared.contracts.notifications import MessageStatusRecord
from shared.contracts.order_status import OrderStatusRecord
from shared.shell.ports.bus import BusRecord
from shared.shell.projection.fold import Fold

Record = TypeVar("Record", OrderStatusRecord, MessageStatusRecord)
ORDERS = 12
SKEW = timedelta(seconds=1)
OTHER_WORDS = {
    "charged": "of an accepted order: to be paid",
    "free": "no payment needed",
    "order": "no payment needed",
    "on": "the pay page: said by payment.retry_requested",
    "page": "said by payment.retry_requested",
}
"""What checkout's words are in staff's."""


@cache
def simulated(seed: int, level: str) -> World:
    worlds: list[World] = []
    init = World.__init__

    def begun(self: World, *given: Any) -> None:
        worlds.append(self)
        init(self, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "__init__", begun)
        assert simulate(seed, ORDERS, level).violations == []
    return worlds[0]


def entries_of_checkout(world: World) -> Mapping[str, Sequence[CheckoutEntry]]:
    found = defaultdict[str, list[CheckoutEntry]](list)
    for entry in world.stores["checkout"].rows(storage.metadata.tables["timeline"].name).values():
        assert isinstance(entry, CheckoutEntry)
        found[entry.key].append(entry)
    return found


def archived(records: Sequence[BusRecord]) -> Mapping[str, Sequence[EventRow]]:
    folded, _ = Fold(PROJECTION, read_models).fold(records, {}, BEGINNING)
    rows = {(row.key, row.at, row.id): row for row in folded.kept if isinstance(row, EventRow)}
    found = defaultdict[str, list[EventRow]](list)
    for row in rows.values():
        found[row.key].append(row)
    return found


def last(kind: type[Record], records: Sequence[BusRecord]) -> Mapping[str, Record]:
    found: dict[str, Any] = {}
    for record in records:
        with suppress(BadMessage):
            if record.topic == kind.topic.name and from_headers(record.headers, record.key).source == kind.topic.owner:
                message: Any = decode(kind, record.value)
                key = (record.key or b"").decode()
                if key not in found or found[key].revision <= message.revision:
                    found[key] = message
    return found


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w.:-]*\w", text.lower()))


def untold(entry: CheckoutEntry, among: Sequence[TimelineEntry]) -> set[str]:
    """Words of the entry that no entry by its actor has which happened by then, as far as clocks agree. What follows
    from what a customer or a provider did is the system's doing."""
    said: set[str] = set()
    for other in among:
        follows = other.actor == "system" and other.what.startswith("order.")
        if other.at <= entry.at + SKEW and (other.actor == entry.actor or follows):
            said |= words(other.text)
    return words(entry.text) - said - OTHER_WORDS.keys()


@pytest.mark.parametrize(("seed", "level"), [(1, "none"), (2, "many"), (3, "some"), (5, "some")])
def test_all_that_checkouts_timeline_says_is_found_in_staffs(seed: int, level: str) -> None:
    world = simulated(seed, level)
    records = world.bus.records()
    events, orders = archived(records), last(OrderStatusRecord, records)
    messages = last(MessageStatusRecord, records)
    compared = 0
    for key, entries in entries_of_checkout(world).items():
        if key not in orders:
            continue
        found = timeline(events[key], orders[key], messages.get(key))
        for entry in entries:
            missing = untold(entry, found)
            assert not missing, (key, entry, [(it.at, it.actor, it.what, it.text) for it in found])
            compared += 1
    assert compared > 5 * ORDERS
