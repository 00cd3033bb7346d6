"""The monitor's view of a run: its pure part reads the status topics, begins again at any record, and must count what
the databases have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random

from deploy.check.evidence import Findings
from deploy.simulation.trial import Trial
from services.checkout.domain.order import Order
from services.monitor.domain.figures import (
    ATTEMPTS,
    DECLINED,
    FAILED,
    ORDERS,
    PAID,
    REFUNDED,
    REFUNDS,
    REVENUE,
)
from services.monitor.domain.fingerprints import Fingerprints
from services.monitor.domain.minutes import minute_of, time_of
from services.monitor.domain.picture import Picture
from services.monitor.domain.unusual import Limits
from services.monitor.records import COUNTED, TOPICS, Records
from services.payments.domain.payment import AttemptStatus, Payment, RefundStatus
from services.payments.domain.status_record import is_told
from shared.contracts.values import OrderStatus
from shared.shell.ports.bus import BusRecord

STARTS = 4
"""How often it reads; the last time to the end."""
MOST = 1_000_000
LATER = timedelta(days=1)
"""Workers' clocks differ."""
LIMITS = Limits(minutes=10_000_000, orders=2, cards=2, declines=2)
"""All time: a run's days pass quickly."""
Count = Counter[tuple[int, str, str, str]]
"""By minute, store, figure and currency."""


def the_monitor_counts_each_order_once(trial: Trial, found: Findings) -> Iterator[tuple[str, str, str]]:
    rng, picture = Random(trial.world.seed), Picture(MOST, LIMITS)  # noqa: S311  # repeatable by seed
    records = [record for record, _ in trial.world.read if record.topic in TOPICS]
    for start in range(1, STARTS + 1):
        if rng.random() < 0.5:  # a new process; otherwise its partitions were assigned again
            picture = Picture(MOST, LIMITS)
        reader = Records(picture, Fingerprints(b"simulated"))
        for record in records if start == STARTS else records[: rng.randrange(len(records) + 1)]:
            if (outcome := reader.take(record)) != COUNTED:
                yield "monitor", (record.key or b"").decode("utf-8", "replace"), f"a status record is {outcome}"
    last = minute_of(trial.world.now() + LATER)
    counted: Count = Counter(
        {
            (minute, store, *figure): amount
            for minute, store, counts in picture.figures.between(0, last)
            for figure, amount in counts.items()
        }
    )
    plain = _plain_count(found)
    for place in sorted({*plain, *counted}):
        if (says := counted[place]) != (has := plain[place]):
            minute, store, figure, currency = place
            what = f"{says} {figure} {currency}".rstrip()
            yield "monitor", "", f"it counts {what} of {store} at {time_of(minute):%H:%M}, the services have {has}"
    yield from _patterns(picture, records, last)


def _plain_count(found: Findings) -> Count:
    """By the services' tables."""
    count: Count = Counter()
    for order in found.of(Order).values():
        if order.placed_at is None:
            continue
        placed, store = minute_of(order.placed_at), order.store.id
        count[placed, store, ORDERS, ""] += 1
        count[placed, store, FAILED, ""] += order.status is OrderStatus.FAILED
        if order.paid_at is not None:
            count[placed, store, PAID, ""] += 1
            count[minute_of(order.paid_at), store, REVENUE, order.currency] += order.paid
    for payment in found.of(Payment).values():
        if not is_told(payment):
            continue
        for attempt in {one.number_in_checkout: one for one in reversed(payment.attempts)}.values():
            count[minute_of(attempt.at), payment.store, ATTEMPTS, ""] += 1
            declined = attempt.status is AttemptStatus.DECLINED
            count[minute_of(attempt.at), payment.store, DECLINED, ""] += declined
        for refund in payment.refunds:
            if refund.status is RefundStatus.DONE:
                count[minute_of(refund.at), payment.store, REFUNDS, ""] += 1
                count[minute_of(refund.at), payment.store, REFUNDED, payment.currency] += refund.amount
    return Counter({place: amount for place, amount in count.items() if amount})


def _patterns(picture: Picture, records: Sequence[BusRecord], now: int) -> Iterator[tuple[str, str, str]]:
    """Read once and in one go, the same patterns are found, and are alerts."""
    fresh = Picture(MOST, LIMITS)
    reader = Records(fresh, Fingerprints(b"simulated"))
    for record in records:
        reader.take(record)
    if picture.activity.all_patterns(now) != (patterns := fresh.activity.all_patterns(now)):
        yield "monitor", "", "it finds other patterns when it reads again"
    picture.alerts.look(now)
    if {alert.key for alert in picture.alerts.current()} != patterns.keys():
        yield "monitor", "", "its alerts are not the patterns that there are"
