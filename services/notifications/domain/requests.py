"""What a customer asks of the store, and its answer, in the feeds of both."""

from __future__ import annotations

from services.notifications.domain.change import NotificationChange
from services.notifications.domain.notification_log import NotificationLog, notification_logs
from services.notifications.domain.words import for_customer, for_staff
from shared.contracts.order_work import OrderAnswered, OrderAsked
from shared.core import Context, Decision


@notification_logs.on(OrderAsked)
def asked(log: NotificationLog, event: OrderAsked, context: Context) -> Decision[NotificationLog]:
    change, words = NotificationChange(log, context), for_staff(log)
    if change.add_fact("asked", each_time=True):
        if event.wants == "cancel":
            title = words.gettext("The customer asks to cancel order %(number)s", number=log.number)
        else:
            title = words.gettext("The customer asks for a refund of order %(number)s", number=log.number)
        change.notify_staff("customer_asks", title, event.text)
    return change.decision()


@notification_logs.on(OrderAnswered)
def answered(log: NotificationLog, event: OrderAnswered, context: Context) -> Decision[NotificationLog]:
    """The text is the store's own."""
    change, words = NotificationChange(log, context), for_customer(log)
    if change.add_fact("answered", each_time=True):
        if event.granted:
            title = words.gettext("Order %(number)s: the store does what you asked for", number=log.number)
        else:
            title = words.gettext("Order %(number)s: the store cannot do what you asked for", number=log.number)
        change.notify_customer("store_answers", title, event.text)
    return change.decision()
