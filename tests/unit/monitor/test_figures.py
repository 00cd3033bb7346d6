from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.monitor.domain.figures import (
    ATTEMPTS,
    DECLINED,
    FAILED,
    ORDERS,
    PAID,
    REFUNDED,
    REFUNDS,
    REVENUE,
    Figures,
    OrderFigures,
    PaymentFigures,
)
from services.monitor.domain.minutes import minute_of, time_of
from services.monitor.domain.picture import Picture, SeenOrder, SeenPayment
from services.monitor.domain.unusual import Limits

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
START = minute_of(NOON)
MANY = 10_000
LIMITS = Limits(60, 3, 2, 2)
Count = Counter[tuple[int, str, str, str]]


@dataclass(frozen=True)
class Record:
    """Of an order, or of its payment; None: a tombstone."""

    order: str
    revision: int
    seen: SeenOrder | SeenPayment | None
    placed: bool = True


MINUTES = st.integers(0, 30)
STORES = st.sampled_from(["north", "south"])
MONEY = st.integers(0, 5000)
CURRENCIES = st.sampled_from(["EUR", "USD"])


@st.composite
def orders(draw: st.DrawFn, order: str, store: str, currency: str) -> list[Record]:
    """The records of one order: not placed, placed, paid or failed, and again and again."""
    placed = START + draw(MINUTES)
    records = [Record(order, revision, None, placed=False) for revision in range(1, draw(st.integers(1, 3)))]
    changed, paid, amount, failed = placed, None, 0, False
    for step in draw(st.lists(st.sampled_from(["placed", "paid", "failed", "unfailed", "changed"]), max_size=4)):
        changed += draw(st.integers(0, 10))
        if step == "paid" and paid is None:
            paid, amount = changed, draw(MONEY)
        failed = {"failed": True, "unfailed": False}.get(step, failed)
        figures = OrderFigures(store, placed, paid, failed, currency, amount)
        records.append(Record(order, len(records) + 1, SeenOrder(changed, figures)))
    return records


@st.composite
def payments(draw: st.DrawFn, order: str, store: str, currency: str) -> list[Record]:
    """The records of one payment: attempts, which are declined or not, and refunds, which fail or not."""
    attempts: list[tuple[int, bool]] = []
    refunds: dict[int, int] = {}
    changed, records = START + draw(MINUTES), list[Record]()
    for step in draw(st.lists(st.sampled_from(["attempt", "decline", "refund", "fail"]), max_size=5)):
        changed += draw(st.integers(0, 10))
        if step == "attempt":
            attempts.append((changed, False))
        elif step == "decline" and attempts:
            attempts[-1] = (attempts[-1][0], True)
        elif step == "refund":
            refunds[changed] = draw(MONEY)
        elif step == "fail" and refunds:
            refunds.popitem()
        figures = PaymentFigures(store, currency, tuple(attempts), tuple(refunds.items()))
        records.append(Record(order, len(records) + 1, SeenPayment(changed, figures)))
    return records


@st.composite
def topics(draw: st.DrawFn, most: int = 5) -> list[Record]:
    found: list[Record] = []
    for number in range(draw(st.integers(0, most))):
        order, store, currency = f"o-{number}", draw(STORES), draw(CURRENCIES)
        found += draw(orders(order, store, currency)) + draw(payments(order, store, currency))
    return found


def read(picture: Picture, records: Iterable[Record]) -> None:
    for record in records:
        if isinstance(record.seen, SeenPayment):
            picture.payment(record.order, record.revision, record.seen)
        else:
            picture.order(record.order, record.revision, record.seen)


def compacted(records: Iterable[Record]) -> list[Record]:
    return list({(one.order, isinstance(one.seen, SeenPayment)): one for one in records}.values())


def plain_count(topic: Iterable[Record], since: int = START) -> Count:
    """By the last record of each order and payment."""
    found: Count = Counter()
    for record in compacted(topic):
        if isinstance(record.seen, SeenOrder):
            of = record.seen.figures
            found[of.placed, of.store, ORDERS, ""] += 1
            found[of.placed, of.store, FAILED, ""] += of.failed
            found[of.placed, of.store, PAID, ""] += of.paid is not None
            if of.paid is not None:
                found[of.paid, of.store, REVENUE, of.currency] += of.revenue
        elif record.seen is not None:
            money = record.seen.figures
            for minute, declined in money.attempts:
                found[minute, money.store, ATTEMPTS, ""] += 1
                found[minute, money.store, DECLINED, ""] += declined
            for minute, amount in money.refunds:
                found[minute, money.store, REFUNDS, ""] += 1
                found[minute, money.store, REFUNDED, money.currency] += amount
    return Counter({place: amount for place, amount in found.items() if amount and place[0] >= since})


def counted(picture: Picture) -> Count:
    return Counter(
        {
            (minute, store, figure, currency): amount
            for minute, store, counts in picture.figures.between(START, START + MANY)
            for (figure, currency), amount in counts.items()
        }
    )


def picture_of(most: int = MANY) -> Picture:
    return Picture(most, LIMITS)


@settings(max_examples=40)
@given(topics(), st.randoms(use_true_random=False), st.integers(0, 3))
def test_any_order_and_repetition_gives_the_plain_count(topic: list[Record], rng: Random, repeated: int) -> None:
    picture, shuffled = picture_of(), topic * (1 + repeated)
    rng.shuffle(shuffled)
    read(picture, shuffled)
    assert counted(picture) == plain_count(topic)


@settings(max_examples=40)
@given(topics(), st.lists(st.floats(0, 1), max_size=4), st.lists(st.booleans(), max_size=4))
def test_any_restart_gives_the_plain_count(topic: list[Record], cuts: list[float], killed: list[bool]) -> None:
    """It begins again, with what it had counted (its partitions were assigned again) or without (a new process).
    Compaction has meanwhile removed records that later ones replace."""
    picture = picture_of()
    for cut, new_process in zip(cuts, killed, strict=False):
        if new_process:
            picture = picture_of()
        read(picture, topic[: int(cut * len(topic))])
    read(picture, compacted(topic))
    assert counted(picture) == plain_count(topic)


@settings(max_examples=40)
@given(topics(), st.integers(1, 6))
def test_beyond_its_limit_it_keeps_the_last_whole_minutes(topic: list[Record], most: int) -> None:
    picture = picture_of(most)
    read(picture, topic)
    figures = picture.figures
    assert len(figures.orders.records) <= most
    assert len(figures.payments.records) <= most
    assert counted(picture) == plain_count(topic, max(figures.since, START))


@settings(max_examples=40)
@given(topics(), st.integers(0, 60), st.randoms(use_true_random=False))
def test_what_expired_is_not_counted_when_it_is_read_again(topic: list[Record], later: int, rng: Random) -> None:
    picture, again = picture_of(), list(topic)
    rng.shuffle(again)
    read(picture, topic)
    picture.expire(START + later, START + later)
    assert counted(picture) == plain_count(topic, START + later)
    read(picture, again)
    picture.expire(START, START)
    assert counted(picture) == plain_count(topic, START + later)
    assert picture.figures.since == START + later, "it only grows"


@settings(max_examples=40)
@given(topics(), st.sets(st.integers(0, 4)), st.sets(st.integers(0, 4)))
def test_what_is_no_longer_on_a_topic_is_forgotten(topic: list[Record], orders: set[int], payments: set[int]) -> None:
    picture = picture_of()
    read(picture, topic)
    for number in orders:
        picture.forget_order(f"o-{number}")
    for number in payments:
        picture.forget_payment(f"o-{number}")
    gone = {(f"o-{number}", False) for number in orders} | {(f"o-{number}", True) for number in payments}
    kept = [one for one in topic if (one.order, isinstance(one.seen, SeenPayment)) not in gone]
    assert counted(picture) == plain_count(kept)
    if orders >= set(range(5)) and payments >= set(range(5)):
        assert picture.figures.orders.cells == picture.figures.payments.cells == {}


@settings(max_examples=40)
@given(topics(), st.floats(0, 1))
def test_it_tells_where_figures_change(topic: list[Record], cut: float) -> None:
    picture, half = picture_of(), int(cut * len(topic))
    read(picture, topic[:half])
    before = counted(picture)
    picture.figures.changes()
    read(picture, topic[half:])
    after, told = counted(picture), picture.figures.changes()
    assert {place[:2] for place in before.keys() | after.keys() if before[place] != after[place]} <= told
    assert picture.figures.changes() == set()


def placed(minute: int, revision: int = 1, order: str = "o-1") -> Record:
    return Record(order, revision, SeenOrder(minute, OrderFigures("north", minute)))


def test_an_order_counts_in_the_minute_in_which_it_was_placed() -> None:
    picture = picture_of()
    read(picture, [Record("o-1", 1, None)])
    assert counted(picture) == {}
    read(picture, [placed(START, 2), placed(START + 1, 2, "o-2")])
    assert picture.figures.of(START) == {"north": {(ORDERS, ""): 1}}
    assert picture.figures.of(START + 1) == {"north": {(ORDERS, ""): 1}}
    assert minute_of(NOON + timedelta(seconds=59.9)) == START
    assert time_of(START + 1) == NOON + timedelta(minutes=1)


def test_of_records_with_the_same_revision_the_last_one_counts() -> None:
    """After checkout's database was restored, an order is placed again, with the same revisions."""
    picture, fresh = picture_of(), picture_of()
    first, again = placed(START + 3), placed(START)
    read(picture, [first])
    read(picture, [again])
    read(fresh, [first, again])
    assert counted(picture) == counted(fresh) == {(START, "north", ORDERS, ""): 1}
    read(picture, [Record("o-1", 0, None), first, again])
    assert counted(picture) == {(START, "north", ORDERS, ""): 1}, "it begins to read again"


def test_an_order_that_changes_after_its_minute_has_expired_counts_for_what_is_new() -> None:
    """A refund of last week's order."""
    picture = picture_of()
    picture.expire(START, START)
    paid = OrderFigures("north", START - 9000, START - 8999, currency="EUR", revenue=500)
    money = PaymentFigures("north", "EUR", ((START - 8999, False),), ((START + 1, 200),))
    read(picture, [Record("o-1", 7, SeenOrder(START + 1, paid)), Record("o-1", 7, SeenPayment(START + 1, money))])
    assert counted(picture) == {(START + 1, "north", REFUNDS, ""): 1, (START + 1, "north", REFUNDED, "EUR"): 200}
    read(picture, [Record("o-1", 8, SeenPayment(START + 2, PaymentFigures("north", "EUR")))])
    assert counted(picture) == {}


@pytest.mark.parametrize("kept", [1, 2])
def test_an_order_that_was_never_seen_can_be_forgotten(kept: int) -> None:
    picture = picture_of()
    read(picture, [placed(START, order=f"o-{number}") for number in range(kept)])
    picture.forget_order("o-0")
    picture.forget_order("never-seen")
    assert len(picture.figures) == kept - 1


def test_it_begins_at_what_the_first_of_its_parts_needs() -> None:
    picture = Picture(MANY, Limits(600, 3, 2, 2))
    picture.expire(START - 60, START)
    assert picture.begins == START - 599
    assert isinstance(picture.figures, Figures)
