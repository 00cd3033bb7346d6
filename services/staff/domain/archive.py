"""The archive: every event and every status record of every service, as it was sent. An order's timeline is read from
its events; how it was at some time, from its status records."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.staff.domain.projection import PROJECTION
from shared.contracts import checkout, fulfillment, notifications, payments
from shared.core.projection import About, Row

EVENTS = (checkout.ORDERS, payments.EVENTS, fulfillment.EVENTS, notifications.EVENTS)
RECORDS = (checkout.STATUS, payments.STATUS, fulfillment.STATUS, notifications.STATUS)
"""Their earlier revisions are nowhere else: in Kafka, the last one of a key is kept."""


class EventRow(Row):
    """An event or a status record. Those of a type that this build does not know are kept, too."""

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
    """Of a status record 0."""
    actor: str
    correlation: str
    causation: str
    body: bytes


@PROJECTION.keeps(*EVENTS, *RECORDS)
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
