"""The erasure of what is kept of the customer, once checkout has erased the order. Nothing more is sent of it."""

from __future__ import annotations

from services.notifications.domain.change import NotificationChange
from services.notifications.domain.notification_log import NotificationLog, notification_logs
from shared.contracts.erasure import OrderErased
from shared.core import Context, Decision
from shared.core.erasure import erasure


@notification_logs.on(OrderErased)
def erased(log: NotificationLog, event: OrderErased, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    change.set(erased_at=log.erased_at or context.at)
    change.record(erasure(context))
    return change.decision()
