"""Manual tasks: what staff do by hand, then mark as delivered."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Item, ItemStatus
from services.fulfillment.domain.fields import FIELD_MISSING, fields_of, missing_text
from services.fulfillment.domain.kind import Kind
from shared.contracts.fulfillment import ManualTask
from shared.contracts.templates import MissingFields, fill

MOST = 2000
"""Characters of what staff read."""


class ManualKind(Kind[ManualTask]):
    def begin(self, change: DeliveryChange, item: Item, action: ManualTask) -> None:
        try:
            text = fill(action.text, fields_of(change.state, change.context.key, item), _shown)
        except MissingFields as missing:
            change.fail_item(item, FIELD_MISSING, missing_text(missing))
        else:
            change.await_item(item, ItemStatus.WAITING_TASK, "task", text[:MOST], alert=True)


def _shown(value: str) -> str:
    """On one line: what customers wrote does not look like a line of the task."""
    return "".join(each if each.isprintable() else " " for each in value)


MANUAL = ManualKind()
