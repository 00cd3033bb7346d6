from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.monitor.domain.figures import OrderFigures, PaymentFigures
from services.monitor.domain.picture import Picture, SeenOrder, SeenPayment
from services.monitor.domain.unusual import SAMPLE, Limits, PatternKey, Source, Try

NOW = 1_000_000
LIMITS = Limits(minutes=10, orders=3, cards=2, declines=2)
ANN, BOB = Source("mail", b"ann"), Source("mail", b"bob")
HOME, PHONE = Source("address", b"home"), Source("ip", b"phone")


def seen(*sources: Source, placed: int = NOW, store: str = "north") -> SeenOrder:
    return SeenOrder(placed, OrderFigures(store, placed), sources)


def paid(*tries: Try, store: str = "north") -> SeenPayment:
    return SeenPayment(max(one.minute for one in tries), PaymentFigures(store, "EUR"), tries)


def picture_of(limits: Limits = LIMITS, most: int = 1000) -> Picture:
    return Picture(most, limits)


def current(picture: Picture, now: int = NOW, store: str = "") -> dict[tuple[str, Source], int]:
    picture.alerts.look(now)
    return {(one.key.what, one.key.source): one.pattern.count for one in picture.alerts.current(store)}


def test_many_orders_from_one_mail_are_an_alert_once() -> None:
    picture = picture_of()
    for number in range(3):
        assert current(picture) == {}
        picture.order(f"o-{number}", 1, seen(ANN, placed=NOW - number))
    assert current(picture) == {("orders", ANN): 3}
    picture.order("o-3", 1, seen(ANN))
    assert current(picture) == {("orders", ANN): 4}
    (alert,) = picture.alerts.current()
    assert (alert.raised, alert.pattern.first, alert.pattern.last) == (NOW, NOW - 2, NOW)
    assert alert.pattern.orders == ("o-0", "o-3", "o-1", "o-2")
    assert picture.alerts.raised == 1


def test_other_mails_addresses_and_stores_do_not_count() -> None:
    picture = picture_of()
    for number, (store, source) in enumerate([("north", ANN), ("north", BOB), ("south", ANN), ("north", ANN)]):
        picture.order(f"o-{number}", 1, seen(source, HOME, store=store))
    assert current(picture) == {("orders", HOME): 3}
    assert current(picture, store="south") == {}
    assert current(picture, store="north") == {("orders", HOME): 3}


def test_many_cards_and_declines_from_one_address() -> None:
    picture = picture_of()
    picture.order("o-1", 1, seen(HOME, PHONE))
    picture.order("o-2", 1, seen(HOME))
    picture.payment("o-1", 1, paid(Try(NOW, b"1", True), Try(NOW, b"1", False)))
    assert current(picture) == {}
    picture.payment("o-2", 1, paid(Try(NOW, b"1", True), Try(NOW, None, False)))
    assert current(picture) == {("declines", HOME): 2}
    picture.payment("o-2", 2, paid(Try(NOW, b"1", True), Try(NOW, b"2", False)))
    assert current(picture) == {("declines", HOME): 2, ("cards", HOME): 2}


def test_it_is_cleared_when_it_is_over_and_not_raised_again_at_once() -> None:
    picture = picture_of()
    for number in range(3):
        picture.order(f"o-{number}", 1, seen(ANN, placed=NOW + number))
    assert current(picture, NOW + 9) == {("orders", ANN): 3}
    assert current(picture, NOW + 10) == {}
    picture.order("o-3", 1, seen(ANN, placed=NOW + 10))
    assert current(picture, NOW + 10) == {("orders", ANN): 3}
    (alert,) = picture.alerts.current()
    assert (alert.raised, picture.alerts.raised) == (NOW + 9, 1)
    assert current(picture, NOW + 25) == {}
    for number in range(4, 7):
        picture.order(f"o-{number}", 1, seen(ANN, placed=NOW + 25))
    assert current(picture, NOW + 25) == {("orders", ANN): 3}
    assert picture.alerts.raised == 2


def test_what_is_removed_from_the_topics_is_no_pattern_any_more() -> None:
    picture = picture_of()
    for number in range(3):
        picture.order(f"o-{number}", 1, seen(ANN))
        picture.payment(f"o-{number}", 1, paid(Try(NOW, b"1", True)))
    assert current(picture) == {("orders", ANN): 3, ("declines", ANN): 3}
    picture.forget_payment("o-0")
    picture.forget_payment("o-1")
    assert current(picture) == {("orders", ANN): 3}
    picture.forget_order("o-1")
    assert current(picture) == {}


def test_an_order_that_gets_another_mail_counts_for_that() -> None:
    picture = picture_of()
    for number in range(3):
        picture.order(f"o-{number}", 1, seen(ANN))
    picture.order("o-1", 2, seen(BOB))
    assert current(picture) == {}


@pytest.mark.parametrize("what", ["orders", "cards", "declines"])
def test_a_limit_of_0_is_none(what: str) -> None:
    limits = Limits(10, *(0 if what == one else 2 for one in ("orders", "cards", "declines")))
    picture = picture_of(limits)
    for number in range(9):
        picture.order(f"o-{number}", 1, seen(ANN))
        picture.payment(f"o-{number}", 1, paid(Try(NOW, b"%d" % number, True)))
    assert {name for name, _ in current(picture)} == {"orders", "cards", "declines"} - {what}


def test_it_names_the_latest_orders_only() -> None:
    picture = picture_of()
    for number in range(50):
        picture.order(f"o-{number:02}", 1, seen(ANN, placed=NOW - number % 5))
    picture.alerts.look(NOW)
    (alert,) = picture.alerts.current()
    assert alert.pattern.count == 50
    assert alert.pattern.orders == tuple(f"o-{number:02}" for number in (*range(0, 50, 5), *range(1, 50, 5)))[:SAMPLE]


def test_what_is_too_old_is_dropped_and_what_is_too_much() -> None:
    picture = picture_of(most=4)
    for number in range(8):
        picture.order(f"o-{number}", 1, seen(Source("mail", bytes([number])), placed=NOW + number))
        picture.payment(f"o-{number}", 1, paid(Try(NOW + number, b"1", True)))
    activity = picture.activity
    assert len(activity.origins) == len(activity.tries) == len(activity._orders) == 4
    picture.expire(0, NOW + 17)
    assert len(activity.origins) == len(activity.tries) == len(activity._orders) == 0


Step = tuple[int, int, Source, int, int, bool]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int, SeenOrder | SeenPayment]]:
    found: list[tuple[str, int, SeenOrder | SeenPayment]] = []
    for number in range(draw(st.integers(0, 5))):
        placed, order = NOW - draw(st.integers(0, 15)), f"o-{number}"
        store = draw(st.sampled_from(["north", "south"]))
        tries: tuple[Try, ...] = ()
        for revision in range(1, draw(st.integers(1, 4))):
            changed = placed + revision
            sources = draw(st.sets(st.sampled_from([ANN, BOB, HOME, PHONE])))
            found.append((order, revision, SeenOrder(changed, OrderFigures(store, placed), tuple(sources))))
            card = draw(st.sampled_from([None, b"1", b"2", b"3"]))
            tries = (*tries, Try(changed, card, draw(st.booleans())))
            found.append((order, revision, SeenPayment(changed, PaymentFigures(store, "EUR"), tries)))
    return found


def plain_patterns(history: Iterable[tuple[str, int, SeenOrder | SeenPayment]], now: int) -> dict[PatternKey, int]:
    since = now - LIMITS.minutes + 1
    last = {(order, type(one)): one for order, _, one in history}
    counts: Counter[PatternKey] = Counter()
    cards: defaultdict[PatternKey, set[bytes]] = defaultdict(set)
    for (order, _), one in last.items():
        if not isinstance(one, SeenOrder):
            continue
        payment = last.get((order, SeenPayment))
        tries = payment.tries if isinstance(payment, SeenPayment) else ()
        for source in one.sources:
            store = one.figures.store
            counts[PatternKey(store, source, "orders")] += one.figures.placed >= since
            for each in tries:
                if each.minute >= since:
                    counts[PatternKey(store, source, "declines")] += each.declined
                    cards[PatternKey(store, source, "cards")] |= {each.card} - {None}  # type: ignore[arg-type]
    counts.update({key: len(found) for key, found in cards.items()})
    return {key: count for key, count in counts.items() if count >= LIMITS.of(key.what)}


@settings(max_examples=40)
@given(histories(), st.randoms(use_true_random=False), st.integers(0, 2), st.lists(st.integers(0, 12), max_size=4))
def test_whatever_is_read_again_gives_the_same_patterns(
    history: list[tuple[str, int, SeenOrder | SeenPayment]], rng: Random, repeated: int, looks: list[int]
) -> None:
    """And alerts are the same, whenever it was looked meanwhile."""
    picture, shuffled = picture_of(), history * (1 + repeated)
    rng.shuffle(shuffled)
    now, times = NOW, iter(sorted(looks))
    for order, revision, one in shuffled:
        if isinstance(one, SeenOrder):
            picture.order(order, revision, one)
        else:
            picture.payment(order, revision, one)
        if rng.random() < 0.3:
            now = NOW + next(times, now - NOW)
            picture.alerts.look(now)
            picture.expire(0, now)
    plain = plain_patterns(history, now)
    assert {key: one.count for key, one in picture.activity.all_patterns(now).items()} == plain
    picture.alerts.look(now)
    assert {one.key: one.pattern.count for one in picture.alerts.current()} == plain
