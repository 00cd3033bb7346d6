"""What the monitor reads of a status record: as little as it needs, so that it counts the orders of a newer build, too,
whose status it does not know."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from services.monitor.domain.orders_per_minute import OrdersPerMinute
from shared.contracts.checkout import OrderStatusRecord
from shared.contracts.envelope import BadEnvelope, UnknownMessage, from_headers, message_type, read_key
from shared.contracts.values import Id, Revision
from shared.shell.ports.bus import BusRecord

COUNTED, UNKNOWN, UNREADABLE, FAILED = OUTCOMES = ("counted", "unknown", "unreadable", "failed")
"""What happens to a record. Unknown: its type or version is not known to this build; failed: a bug."""


class PlacedOrder(BaseModel):
    model_config = ConfigDict(extra="ignore")

    store: Id
    revision: Revision
    placed_at: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Records:
    """Counts what records say."""

    table: OrdersPerMinute

    def take(self, record: BusRecord) -> str:
        """Never raises because of a record: returns an outcome."""
        if record.unreadable:
            return UNREADABLE
        if record.value is None:
            return self._gone(record)
        try:
            envelope = from_headers(record.headers, record.key)
            if message_type(envelope) is not OrderStatusRecord:
                return UNKNOWN
            placed = PlacedOrder.model_validate_json(record.value)
        except UnknownMessage:
            return UNKNOWN
        except (BadEnvelope, ValidationError):
            return UNREADABLE
        self.table.count(envelope.subject, placed.revision, placed.store, placed.placed_at)
        return COUNTED

    def _gone(self, record: BusRecord) -> str:
        """A record without a value says that the order is no longer on the topic."""
        order, wrong = read_key(record.key)
        if wrong:
            return UNREADABLE
        self.table.forget(order)
        return COUNTED
