from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.domain.orders_per_minute import OrdersPerMinute, minute_of, time_of

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
START = minute_of(NOON)
MANY = 10_000


@dataclass(frozen=True)
class Record:
    order: str
    revision: int
    store: str
    placed_at: datetime | None


def records_of(order: str, store: str, minute: int, unplaced: int, placed: int) -> list[Record]:
    """An order's records: some before it was placed, and some after."""
    at = NOON + timedelta(minutes=minute, seconds=59)
    return [
        Record(order, revision, store, at if revision > unplaced else None)
        for revision in range(1, unplaced + placed + 1)
    ]


@st.composite
def topics(draw: st.DrawFn) -> list[Record]:
    shape = st.tuples(st.sampled_from(["north", "south"]), st.integers(0, 30), st.integers(0, 3), st.integers(0, 4))
    orders = draw(st.lists(shape, max_size=12))
    return [record for number, order in enumerate(orders) for record in records_of(f"o-{number}", *order)]


def plain_count(records: Iterable[Record], since: int = START) -> dict[tuple[int, str], int]:
    """By the last record of each order, as a compacted topic keeps it."""
    last: dict[str, Record] = {}
    for record in records:
        if record.revision > last.get(record.order, Record("", 0, "", None)).revision:
            last[record.order] = record
    placed = Counter((minute_of(one.placed_at), one.store) for one in last.values() if one.placed_at is not None)
    return {place: orders for place, orders in placed.items() if place[0] >= since}


def counted(table: OrdersPerMinute) -> dict[tuple[int, str], int]:
    return {(minute, store): orders for minute, store, orders in table.between(START, START + MANY)}


def read(table: OrdersPerMinute, records: Iterable[Record]) -> None:
    for record in records:
        table.count(record.order, record.revision, record.store, record.placed_at)


@given(topics(), st.randoms(use_true_random=False), st.integers(0, 3))
def test_any_order_and_repetition_gives_the_plain_count(topic: list[Record], rng: Random, repeated: int) -> None:
    table = OrdersPerMinute(MANY)
    shuffled = topic * (1 + repeated)
    rng.shuffle(shuffled)
    read(table, shuffled)
    assert counted(table) == plain_count(topic)


@given(topics(), st.lists(st.floats(0, 1), max_size=4), st.lists(st.booleans(), max_size=4))
def test_any_restart_gives_the_plain_count(topic: list[Record], cuts: list[float], killed: list[bool]) -> None:
    """It begins again, with what it had counted (its partitions were assigned again) or without (a new process).
    Compaction has meanwhile removed records that later ones replace."""
    table = OrdersPerMinute(MANY)
    for cut, new_process in zip(cuts, killed, strict=False):
        if new_process:
            table = OrdersPerMinute(MANY)
        read(table, topic[: int(cut * len(topic))])
    compacted = list({record.order: record for record in topic}.values())
    read(table, compacted)
    assert counted(table) == plain_count(topic)


@given(topics(), st.randoms(use_true_random=False), st.integers(1, 8))
def test_beyond_its_limit_it_keeps_the_last_whole_minutes(topic: list[Record], rng: Random, most: int) -> None:
    table = OrdersPerMinute(most)
    shuffled = [record for record in topic if record.placed_at is not None] * 2
    rng.shuffle(shuffled)
    read(table, shuffled)
    assert len(table) <= most
    assert counted(table) == plain_count(topic, max(table.since, START))
    one_more = plain_count(topic, max(table.since, START) - 1)
    assert table.since == 0 or sum(one_more.values()) > most


def test_an_order_counts_in_the_minute_in_which_it_was_placed() -> None:
    table = OrdersPerMinute(MANY)
    table.count("o-1", 1, "north", None)
    assert counted(table) == {}
    table.count("o-1", 2, "north", NOON + timedelta(seconds=59.9))
    table.count("o-2", 2, "north", NOON + timedelta(seconds=60))
    assert counted(table) == {(START, "north"): 1, (START + 1, "north"): 1}
    assert table.of(START + 1) == {"north": 1}
    assert time_of(START + 1) == NOON + timedelta(minutes=1)


def test_of_records_with_the_same_revision_the_last_one_counts() -> None:
    """After checkout's database was restored, an order is placed again, with the same revisions."""
    table, fresh = OrdersPerMinute(MANY), OrdersPerMinute(MANY)
    first, again = (Record("o-1", 2, "north", NOON + timedelta(minutes=minute)) for minute in (3, 0))
    read(table, [first])
    read(table, [again])
    read(fresh, [first, again])
    assert counted(table) == counted(fresh) == {(START, "north"): 1}
    read(table, [Record("o-1", 1, "north", None), first, again])
    assert counted(table) == {(START, "north"): 1}, "it begins to read again"


def test_what_expired_is_not_counted_when_it_is_read_again() -> None:
    table = OrdersPerMinute(MANY)
    topic = [record for minute in (0, 1, 2) for record in records_of(f"o-{minute}", "north", minute, 0, 1)]
    read(table, topic)
    table.expire(START + 1)
    read(table, [Record(one.order, 9, one.store, one.placed_at) for one in topic])
    assert counted(table) == {(START + 1, "north"): 1, (START + 2, "north"): 1}
    assert len(table) == 2
    table.expire(START)
    assert table.since == START + 1, "it only grows"


@pytest.mark.parametrize("kept", [1, 2])
def test_an_order_that_is_no_longer_on_the_topic_is_forgotten(kept: int) -> None:
    table = OrdersPerMinute(MANY)
    read(table, [record for number in range(kept) for record in records_of(f"o-{number}", "north", 0, 0, 1)])
    table.forget("o-0")
    table.forget("never-seen")
    assert len(table) == kept - 1
    assert counted(table) == ({(START, "north"): kept - 1} if kept > 1 else {})
