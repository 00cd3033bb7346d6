"""What customer and staff hear of an order that staff approve before it is charged."""

from __future__ import annotations

from services.notifications.domain.change import NotificationChange
from services.notifications.domain.email_draft import EmailDraft, moment, money, pay_until, totals
from services.notifications.domain.notification_log import NotificationLog, notification_logs
from services.notifications.domain.order_events import endpoints_of, status_title
from services.notifications.domain.words import for_customer, for_staff
from shared.contracts.approval import OrderAccepted, OrderApprovalRequested, OrderCardNeeded, OrderDeclined
from shared.contracts.text import without_links
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision


@notification_logs.on(OrderApprovalRequested, reads=endpoints_of)
def received(log: NotificationLog, event: OrderApprovalRequested, context: Context) -> Decision[NotificationLog]:
    change, number, words, staff = NotificationChange(log, context), log.number, for_customer(log), for_staff(log)
    if change.add_fact("received", status=OrderStatus.RECEIVED):
        amount = money(log, event.amount, staff)
        subject = words.gettext("Your request %(number)s", number=number)
        alert = staff.gettext("To accept or decline: order %(number)s, %(amount)s", number=number, amount=amount)
        change.send_emails(
            EmailDraft("request_received", subject, data=totals(log), status=OrderStatus.RECEIVED),
            EmailDraft("new_request", alert, "staff", totals(log, staff)),
        )
        title = words.gettext("We have your request %(number)s", number=number)
        text = words.gettext("%(store)s looks at it. You are charged only once it is accepted.", store=log.store.name)
        change.notify_customer("request_received", status_title(log, OrderStatus.RECEIVED, title), text)
        title = staff.gettext("To accept or decline: order %(number)s", number=number)
        text = staff.gettext(
            "%(amount)s from %(name)s. It is charged once you accept it.", amount=amount, name=log.customer.name
        )
        change.notify_staff("new_request", title, text)
    return change.decision()


@notification_logs.on(OrderCardNeeded)
def card_needed(log: NotificationLog, event: OrderCardNeeded, context: Context) -> Decision[NotificationLog]:
    change, words, until = NotificationChange(log, context), for_customer(log), moment(log, event.until)
    if change.add_fact("card_needed", each_time=True):
        if event.confirm:
            title = words.gettext("Please confirm your card for your request %(number)s", number=log.number)
        else:
            title = words.gettext("Please give another card for your request %(number)s", number=log.number)
        reason = words.known(event.text)
        data = {"url": event.url, "until": until, "confirm": event.confirm, "reason": reason}
        change.send_emails(EmailDraft("card_needed", title, data=data, pay_until=pay_until(event)))
        text = words.gettext("Please do so by %(until)s.", until=until)
        change.notify_customer("card_needed", title, f"{reason} {text}".strip(), event.url)
    return change.decision()


@notification_logs.on(OrderAccepted, reads=endpoints_of)
def accepted(log: NotificationLog, event: OrderAccepted, context: Context) -> Decision[NotificationLog]:
    change, words, staff = NotificationChange(log, context), for_customer(log), for_staff(log)
    if change.add_fact("accepted", status=OrderStatus.ACCEPTED):
        amount, subject = (
            money(log, event.amount),
            words.gettext("Your request %(number)s is accepted", number=log.number),
        )
        data, status = {"amount": amount}, OrderStatus.ACCEPTED
        change.send_emails(EmailDraft("request_accepted", subject, data=data, status=status))
        text = words.gettext("%(amount)s is due now.", amount=amount)
        change.notify_customer("request_accepted", status_title(log, status, subject), text)
        title = staff.gettext("Order %(number)s was accepted", number=log.number)
        change.notify_staff("request_accepted", title, money(log, event.amount, staff))
    return change.decision()


@notification_logs.on(OrderDeclined, reads=endpoints_of)
def declined(log: NotificationLog, event: OrderDeclined, context: Context) -> Decision[NotificationLog]:
    change, words, staff = NotificationChange(log, context), for_customer(log), for_staff(log)
    if change.add_fact("request_declined", status=OrderStatus.DECLINED):
        subject = words.gettext("Your request %(number)s was declined", number=log.number)
        data, status = {"note": without_links(event.note)}, OrderStatus.DECLINED
        change.send_emails(EmailDraft("request_declined", subject, data=data, status=status))
        text = words.gettext("You have not been charged.")
        change.notify_customer("request_declined", status_title(log, status, subject), f"{text} {event.note}".strip())
        title = staff.gettext("Order %(number)s was declined", number=log.number)
        change.notify_staff("request_declined", title, staff.gettext("Nothing is charged."))
    return change.decision()
