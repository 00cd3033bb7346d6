"""The archive: every event of every service, as it was sent. An order's timeline is read from it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.staff.domain.projection import PROJECTION
from shared.contracts import checkout, fulfillment, notifications, payments
from shared.core.projection import About, Row


class EventRow(Row):
    """An event. Those of a type that this build does not know are kept, too."""

    key: str
    """What it is about: an order id, as a rule."""
    at: datetime
    id: UUID
    """The same each time that it is read."""
    topic: str
    source: str
    type: str
    version: int
    store: str
    sequence: int
    actor: str
    correlation: str
    causation: str
    body: bytes


@PROJECTION.keeps(checkout.ORDERS, payments.EVENTS, fulfillment.EVENTS, notifications.EVENTS)
def event(body: bytes, about: About) -> EventRow:
    return EventRow(
        key=about.key,
        at=about.at,
        id=about.id,
        topic=about.topic,
        source=about.source,
        type=about.type,
        version=about.version,
        store=about.store,
        sequence=about.sequence,
        actor=about.actor,
        correlation=about.correlation_id,
        causation=about.causation_id,
        body=body,
    )
