"""What customer and staff hear of an order that staff approve before it is charged."""

from __future__ import annotations

from services.notifications.domain.change import NotificationChange
from services.notifications.domain.email_draft import EmailDraft, money, totals
from services.notifications.domain.notification_log import NotificationLog, notification_logs
from services.notifications.domain.order_events import endpoints_of
from shared.contracts.approval import OrderAccepted, OrderApprovalRequested, OrderCardNeeded, OrderDeclined
from shared.contracts.text import without_links
from shared.contracts.times import moment
from shared.core import Context, Decision


@notification_logs.on(OrderApprovalRequested, reads=endpoints_of)
def received(log: NotificationLog, event: OrderApprovalRequested, context: Context) -> Decision[NotificationLog]:
    change, number, amount = NotificationChange(log, context), log.number, money(log, event.amount)
    if change.add_fact("received"):
        change.send_emails(
            EmailDraft("request_received", f"Your request {number}", data=totals(log)),
            EmailDraft("new_request", f"To accept or decline: order {number}, {amount}", "staff", totals(log)),
        )
        text = f"{log.store.name} looks at it. You are charged only once it is accepted."
        change.notify_customer("request_received", f"We have your request {number}", text)
        text = f"{amount}, from {log.customer.name}. It is charged once you accept it."
        change.notify_staff("new_request", f"To accept or decline: order {number}", text)
    return change.decision()


@notification_logs.on(OrderCardNeeded)
def card_needed(log: NotificationLog, event: OrderCardNeeded, context: Context) -> Decision[NotificationLog]:
    change, until = NotificationChange(log, context), moment(event.until, log.store.time_zone)
    if change.add_fact("card_needed", each_time=True):
        do = "confirm your card" if event.confirm else "give another card"
        title = f"Please {do} for your request {log.number}"
        data = {"url": event.url, "until": until, "confirm": event.confirm, "reason": event.text}
        change.send_emails(EmailDraft("card_needed", title, data=data))
        change.notify_customer("card_needed", title, f"{event.text} Please do so by {until}.".strip(), event.url)
    return change.decision()


@notification_logs.on(OrderAccepted, reads=endpoints_of)
def accepted(log: NotificationLog, event: OrderAccepted, context: Context) -> Decision[NotificationLog]:
    change, title = NotificationChange(log, context), f"Your request {log.number} is accepted"
    if change.add_fact("accepted"):
        change.send_emails(EmailDraft("request_accepted", title, data={"amount": money(log, event.amount)}))
        change.notify_customer("request_accepted", title, f"{money(log, event.amount)} is due now.")
        change.notify_staff("request_accepted", f"Order {log.number} was accepted", money(log, event.amount))
    return change.decision()


@notification_logs.on(OrderDeclined, reads=endpoints_of)
def declined(log: NotificationLog, event: OrderDeclined, context: Context) -> Decision[NotificationLog]:
    change, title = NotificationChange(log, context), f"Your request {log.number} was declined"
    if change.add_fact("request_declined"):
        change.send_emails(EmailDraft("request_declined", title, data={"note": without_links(event.note)}))
        change.notify_customer("request_declined", title, f"You have not been charged. {event.note}".strip())
        change.notify_staff("request_declined", f"Order {log.number} was declined", "Nothing is charged.")
    return change.decision()
