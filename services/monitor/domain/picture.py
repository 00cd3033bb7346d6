"""The live picture: what is known of the last hours, from the latest records of orders and payments."""

from __future__ import annotations

from dataclasses import dataclass

from services.monitor.domain.figures import Figures, OrderFigures, PaymentFigures
from services.monitor.domain.unusual import Activity, Alerts, Limits, Origin, Source, Try


@dataclass(frozen=True, slots=True)
class SeenOrder:
    """What a status record says of a placed order."""

    changed: int
    """The minute in which it reached this state."""
    figures: OrderFigures
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenPayment:
    """What a status record says of a payment."""

    changed: int
    """The minute in which it reached this state."""
    figures: PaymentFigures
    tries: tuple[Try, ...] = ()


class Picture:
    """The figures of the last hours, and what was unusual in the last minutes; each keeps at most `most` orders and
    payments."""

    def __init__(self, most: int, limits: Limits) -> None:
        self.figures = Figures(most)
        self.activity = Activity(most, limits)
        self.alerts = Alerts(self.activity)

    @property
    def begins(self) -> int:
        """The minute of the oldest record that is kept."""
        figures, activity = self.figures, self.activity
        kept = (figures.orders.records, figures.payments.records, activity.origins, activity.tries)
        return min(records.since for records in kept)

    def order(self, order: str, revision: int, seen: SeenOrder | None) -> None:
        """A status record of an order; None: it is not placed."""
        if seen is None:
            self.figures.orders.records.put(order, revision, 0, None)
            self.activity.origins.put(order, revision, 0, None)
            return
        figures = seen.figures
        changed = max(seen.changed, figures.placed, figures.paid or 0)
        self.figures.orders.records.put(order, revision, changed, figures)
        origin = Origin(figures.store, figures.placed, seen.sources)
        self.activity.origins.put(order, revision, changed, origin)

    def payment(self, order: str, revision: int, seen: SeenPayment) -> None:
        """A status record of an order's payment."""
        figures = seen.figures
        changed = max(seen.changed, *(at for at, _ in (*figures.attempts, *figures.refunds)), 0)
        self.figures.payments.records.put(order, revision, changed, figures)
        self.activity.tries.put(order, revision, changed, seen.tries)

    def forget_order(self, order: str) -> None:
        """It is no longer on the topic of orders."""
        self.figures.orders.records.forget(order)
        self.activity.origins.forget(order)

    def forget_payment(self, order: str) -> None:
        """It is no longer on the topic of payments."""
        self.figures.payments.records.forget(order)
        self.activity.tries.forget(order)

    def expire(self, since: int, now: int) -> None:
        """Drop the figures before a minute, and the activity that is too old to count."""
        self.figures.expire(since)
        self.activity.expire(now - self.activity.limits.minutes + 1)
