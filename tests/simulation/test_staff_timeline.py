"""Whole simulated runs: an order's timeline tells whatever was told of it, and each change of its status."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import pytest

from deploy.simulation.run import simulate
from deploy.simulation.world import BEGINNING, World
from services.staff.domain import PROJECTION
from services.staff.domain.archive import EVENTS, EventRow
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


def archived(records: Sequence[BusRecord]) -> Mapping[str, Sequence[EventRow]]:
    folded, _ = Fold(PROJECTION, read_models).fold(records, {}, BEGINNING)
    rows = {(row.key, row.at, row.id): row for row in folded.kept if isinstance(row, EventRow)}
    found = defaultdict[str, list[EventRow]](list)
    for row in rows.values():
        found[row.key].append(row)
    return found


def records_of(kind: type[Record], records: Sequence[BusRecord]) -> Mapping[str, Mapping[int, Record]]:
    """By order and revision."""
    found = defaultdict[str, dict[int, Record]](dict)
    for record in records:
        with suppress(BadMessage):
            if record.topic == kind.topic.name and from_headers(record.headers, record.key).source == kind.topic.owner:
                message: Any = decode(kind, record.value)
                found[(record.key or b"").decode()][message.revision] = message
    return found


def untold(revisions: Mapping[int, OrderStatusRecord], entries: Sequence[TimelineEntry]) -> Iterator[OrderStatusRecord]:
    """The records that say another status than the one before while nothing in the timeline of checkout's says why."""
    told = [entry.at for entry in entries if entry.source == "checkout"]
    ordered = [revisions[number] for number in sorted(revisions)]
    for before, after in zip([None, *ordered], ordered, strict=False):
        changed = before is None or before.status is not after.status
        if changed and not any(abs(at - after.updated_at) <= SKEW for at in told):
            yield after


@pytest.mark.parametrize(("seed", "level"), [(1, "none"), (2, "many"), (3, "some"), (5, "some")])
def test_whatever_is_told_of_an_order_and_each_change_of_its_status_is_in_its_timeline(seed: int, level: str) -> None:
    records = simulated(seed, level).bus.records()
    events, messages = archived(records), records_of(MessageStatusRecord, records)
    topics, compared = {topic.name for topic in EVENTS}, 0
    for key, revisions in records_of(OrderStatusRecord, records).items():
        latest = messages[key][max(messages[key])] if key in messages else None
        found = timeline(events[key], revisions[max(revisions)], latest)
        told = {str(row.id) for row in events[key] if row.topic in topics}
        assert told <= {entry.id for entry in found}
        assert all(entry.text and entry.actor and entry.what for entry in found)
        assert not [*untold(revisions, found)], (key, [(it.at, it.source, it.what, it.text) for it in found])
        compared += len(found)
    assert compared > 5 * ORDERS
