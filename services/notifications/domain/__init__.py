"""The rules of notifications: who is notified of what, and how. Pure: no I/O, no clock, no random numbers."""

from services.notifications.domain import approval, email, lost_messages, order_events, webhook_delivery  # noqa: F401
from services.notifications.domain.endpoint import endpoints
from services.notifications.domain.notification_log import notification_logs

CORES = (notification_logs, endpoints)
