"""The rows that notifications only adds: feed entries, and the logs of attempts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.core import Record


class FeedEntry(Record):
    """One entry of a recipient's in-app feed."""

    key: str
    """The recipient: see `feed.py`."""
    id: UUID
    order_id: str
    number: str
    kind: str
    title: str
    text: str
    link: str | None
    at: datetime


class EmailAttempt(Record):
    """One unsuccessful attempt to send an email. Written when a round of attempts has ended."""

    key: str
    """The order."""
    id: UUID
    message: str
    """The Message-ID."""
    at: datetime
    result: str


class WebhookDeliveryAttempt(Record):
    """One attempt at a webhook delivery. Written when a round of attempts has ended."""

    key: str
    """The order."""
    id: UUID
    message: str
    endpoint: str
    event: str
    at: datetime
    delivered: bool
    result: str
    """`HTTP 204`, or what went wrong."""
