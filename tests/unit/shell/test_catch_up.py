"""What is read again comes as it first happened."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings import KafkaSettings
from shared.shell.kafka.catch_up import CatchUpSource, InOrderOfTime
from shared.shell.ports.bus import BusRecord
from tests.unit.shell.harness import START


def record(topic: str, offset: int, seconds: int, key: str) -> BusRecord:
    return BusRecord(topic, 0, offset, key.encode(), (), b"", START + timedelta(seconds=seconds))


def test_a_cause_comes_before_its_effect_from_another_topic() -> None:
    merged = InOrderOfTime()
    merged.add([record("payments", 0, 2, "o-1"), record("payments", 1, 9, "o-2"), record("orders", 0, 1, "o-1")])

    assert [one.topic for one in merged.take(10, ())] == ["orders"], "one of a key at a time"
    assert [one.offset for one in merged.take(10, ())] == [0, 1]


@pytest.mark.parametrize(
    ("topic", "source", "time", "first"),
    [
        ("checkout.commands.v1", b"checkout/http", START.isoformat().encode(), "checkout.commands.v1"),
        ("checkout.commands.v1", b"shop", START.isoformat().encode(), "stock"),
        ("checkout.commands.v1", b"checkout/http", b"yesterday", "stock"),
        ("checkout.commands.v1", b"checkout/http", b"2026-03-03T14:00:00", "stock"),
        ("checkout.commands.v1", b"checkout/http", None, "stock"),
        ("checkout.commands.v1", b"checkout/http", b"\xff", "stock"),
        ("payments.callbacks.v1", b"payments/http", START.isoformat().encode(), "stock"),
    ],
)
def test_a_command_over_http_comes_when_it_was_decided_not_when_its_copy_was_written(
    topic: str, source: bytes, time: bytes | None, first: str
) -> None:
    copy = replace(record(topic, 0, 2, "o-1"), headers=(("ce_source", source), ("ce_time", time)))
    merged = InOrderOfTime()
    merged.add([copy, record("stock", 0, 1, "o-1")])
    assert [one.topic for one in merged.take(10, ())] == [first]


def test_a_compacted_record_comes_first_for_it_may_stand_for_earlier_ones() -> None:
    merged = InOrderOfTime()
    merged.add([record("notifications.commands.v1", 0, 1, "s"), record("stores.status.v1", 9, 5, "s")])
    assert [one.topic for one in merged.take(1, ())] == ["stores.status.v1"]


def test_nothing_is_taken_while_something_older_may_still_come() -> None:
    merged = InOrderOfTime()
    merged.add([record("payments", 0, 2, "o-1")])
    assert merged.take(10, [("orders", 0)]) == []
    assert merged.take(10, [("payments", 0)]) == [record("payments", 0, 2, "o-1")]


def test_what_another_member_has_now_is_forgotten() -> None:
    merged = InOrderOfTime()
    merged.add([record("payments", 0, 2, "o-1"), record("orders", 0, 1, "o-2")])
    merged.keep([("orders", 0)])
    assert (merged.size(), merged.empty(("payments", 0))) == (1, True)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 20), st.sampled_from("xyz")), max_size=40),
    st.integers(1, 7),
)
def test_all_come_once_in_order_of_time_and_in_the_order_of_their_partition(
    given_: list[tuple[str, int, str]], limit: int
) -> None:
    offsets: defaultdict[str, int] = defaultdict(int)
    records = []
    for topic, seconds, key in given_:
        records.append(record(topic, offsets[topic], seconds, key))
        offsets[topic] += 1
    merged = InOrderOfTime()
    merged.add(records)
    taken = []
    while some := merged.take(limit, ()):
        assert len(some) <= limit
        assert len({one.key for one in some}) == len(some)
        taken += some

    assert sorted(taken, key=str) == sorted(records, key=str)
    latest: dict[str, int] = {}
    times = []
    for one in taken:
        assert one.offset == latest.get(one.topic, -1) + 1
        latest[one.topic] = one.offset
        before = [other.at for other in records if other.topic == one.topic and other.offset <= one.offset]
        times.append(max(before))
    assert times == sorted(times)


def test_a_status_record_that_waits_says_nothing_of_how_far_behind_it_is() -> None:
    """It is read before all else, whatever its time."""
    source = CatchUpSource(KafkaSettings(bootstrap_servers="kafka:9092"), "toy", "toy-0", [])
    source._merged.add([record("orders.status.v1", 0, 5, "o-1")])
    assert source.oldest_unread() is None
