"""The monitor's view of a run: its pure part reads the status topic, begins again at any record, and must count what
checkout has placed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from random import Random

from deploy.check.evidence import Findings
from deploy.simulation.trial import Trial
from services.checkout.domain.order import Order
from services.monitor.domain.orders_per_minute import OrdersPerMinute, minute_of, time_of
from services.monitor.records import COUNTED, Records
from shared.contracts.checkout import STATUS

STARTS = 4
"""How often it reads; the last time to the end."""
MOST = 1_000_000
LATER = timedelta(days=1)
"""Workers' clocks differ."""


def the_monitor_counts_each_order_once(trial: Trial, found: Findings) -> Iterator[tuple[str, str, str]]:
    rng, table = Random(trial.world.seed), OrdersPerMinute(MOST)  # noqa: S311  # repeatable by seed
    records = [record for record, _ in trial.world.read if record.topic == STATUS.name]
    for start in range(1, STARTS + 1):
        if rng.random() < 0.5:  # a new process; otherwise its partitions were assigned again
            table = OrdersPerMinute(MOST)
        for record in records if start == STARTS else records[: rng.randrange(len(records) + 1)]:
            if (outcome := Records(table).take(record)) != COUNTED:
                yield "monitor", (record.key or b"").decode("utf-8", "replace"), f"a status record is {outcome}"
    placed = ((order.placed_at, order.store.id) for order in found.of(Order).values())
    plain = Counter((minute_of(at), store) for at, store in placed if at is not None)
    counts = table.between(0, minute_of(trial.world.now() + LATER))
    counted = Counter({(minute, store): orders for minute, store, orders in counts})
    for minute, store in sorted({*plain, *counted}):
        if (says := counted[minute, store]) != (has := plain[minute, store]):
            yield "monitor", "", f"it counts {says} orders of {store} at {time_of(minute):%H:%M}, checkout has {has}"
