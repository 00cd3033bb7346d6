"""When an order of a benchmark counts: it is completed, and every mail and webhook that it brings has been taken.

A rate that stops at the last completed order leaves thousands of mails and webhooks unpaid for. What has been taken is
read from what notifications publishes, so that no tables are queried while the measurement runs: a status record of the
order, or a fact for each mail and webhook, as builds tell it that have no such record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.checkout import OrderCompleted, OrderItemsDelivered
from shared.contracts.notifications import (
    EmailFailed,
    EmailSent,
    MessageStatusRecord,
    WebhookDelivered,
    WebhookExhausted,
)

MAILS = 2
"""Per order: the confirmation, and the store's own; one more for each message of delivered items."""
WEBHOOKS = 6
"""Per order and endpoint that wants every event: two each when it is placed, paid and completed."""

COMPLETED, DELIVERED = OrderCompleted.type, OrderItemsDelivered.type
MAILED, POSTED = EmailSent.type, WebhookDelivered.type
GIVEN_UP = (EmailFailed.type, WebhookExhausted.type)
TOLD = MessageStatusRecord.type
COUNTED = frozenset({COMPLETED, DELIVERED, MAILED, POSTED, TOLD, *GIVEN_UP})
"""The types of the events that matter here."""


@dataclass(slots=True)
class Progress:
    """What has been seen of one order. Events that arrive twice count once."""

    completed: bool = False
    deliveries: int = 0
    mails: int = 0
    webhooks: int = 0
    given_up: int = 0
    _revision: int = 0
    """Of the latest status record."""
    _seen: set[bytes] = field(default_factory=set)

    def add_record(self, record: Mapping[str, Any]) -> None:
        """Take up a status record: it says all that has been taken."""
        if record["revision"] > self._revision:
            self._revision = record["revision"]
            self.mails = sum(mail["state"] == "sent" for mail in record.get("emails", ()))
            self.webhooks = sum(hook["state"] == "delivered" for hook in record.get("webhooks", ()))

    def add(self, event_type: str, event_id: bytes) -> None:
        """Count an event. `event_type` is one of COUNTED, but for TOLD."""
        if event_id in self._seen:
            return
        self._seen.add(event_id)
        if event_type == COMPLETED:
            self.completed = True
        elif event_type == DELIVERED:
            self.deliveries += 1
        elif event_type == MAILED:
            self.mails += 1
        elif event_type == POSTED:
            self.webhooks += 1
        else:
            self.given_up += 1

    @property
    def settled(self) -> bool:
        """Mails and webhooks that were given up never arrive: such an order is not settled."""
        return self.completed and self.mails >= MAILS + self.deliveries and self.webhooks >= WEBHOOKS
