"""The rules of notifications: who is notified of what, and how. Pure: no I/O, no clock, no random numbers."""

from services.notifications.domain import (  # noqa: F401
    approval,
    email,
    erasure,
    lost_messages,
    order_events,
    requests,
    webhook_delivery,
)
from services.notifications.domain.endpoint import endpoints
from services.notifications.domain.notification_log import notification_logs

CORES = (notification_logs, endpoints)
