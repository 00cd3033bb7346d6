"""What customer and staff hear of an order that staff approve before it is charged."""

from __future__ import annotations

from services.notifications.domain.change import NotificationChange
from services.notifications.domain.email_draft import EmailDraft, moment, money, totals
from services.notifications.domain.notification_log import NotificationLog, notification_logs
from services.notifications.domain.order_events import endpoints_of
from services.notifications.domain.words import for_customer, for_staff
from shared.contracts.approval import OrderAccepted, OrderApprovalRequested, OrderCardNeeded, OrderDeclined
from shared.contracts.text import without_links
from shared.core import Context, Decision


@notification_logs.on(OrderApprovalRequested, reads=endpoints_of)
def received(log: NotificationLog, event: OrderApprovalRequested, context: Context) -> Decision[NotificationLog]:
    change, words, theirs = NotificationChange(log, context), for_customer(log), for_staff(log)
    if change.add_fact("received"):
        amount = money(log, event.amount, theirs)
        change.send_emails(
            EmailDraft(
                "request_received", words.gettext("Your request %(number)s", number=log.number), data=totals(log)
            ),
            EmailDraft(
                "new_request",
                theirs.gettext("To accept or decline: order %(number)s, %(amount)s", number=log.number, amount=amount),
                "staff",
                totals(log, theirs),
            ),
        )
        text = words.gettext("%(store)s looks at it. You are charged only once it is accepted.", store=log.store.name)
        title = words.gettext("We have your request %(number)s", number=log.number)
        change.notify_customer("request_received", title, text)
        text = theirs.gettext(
            "%(amount)s, from %(name)s. It is charged once you accept it.", amount=amount, name=log.customer.name
        )
        title = theirs.gettext("To accept or decline: order %(number)s", number=log.number)
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
        change.send_emails(EmailDraft("card_needed", title, data=data))
        please = words.gettext("Please do so by %(until)s.", until=until)
        change.notify_customer("card_needed", title, f"{reason} {please}".strip(), event.url)
    return change.decision()


@notification_logs.on(OrderAccepted, reads=endpoints_of)
def accepted(log: NotificationLog, event: OrderAccepted, context: Context) -> Decision[NotificationLog]:
    change, words, theirs = NotificationChange(log, context), for_customer(log), for_staff(log)
    if change.add_fact("accepted"):
        amount = money(log, event.amount)
        title = words.gettext("Your request %(number)s is accepted", number=log.number)
        change.send_emails(EmailDraft("request_accepted", title, data={"amount": amount}))
        change.notify_customer("request_accepted", title, words.gettext("%(amount)s is due now.", amount=amount))
        title = theirs.gettext("Order %(number)s was accepted", number=log.number)
        change.notify_staff("request_accepted", title, money(log, event.amount, theirs))
    return change.decision()


@notification_logs.on(OrderDeclined, reads=endpoints_of)
def declined(log: NotificationLog, event: OrderDeclined, context: Context) -> Decision[NotificationLog]:
    change, words, theirs = NotificationChange(log, context), for_customer(log), for_staff(log)
    if change.add_fact("request_declined"):
        title = words.gettext("Your request %(number)s was declined", number=log.number)
        change.send_emails(EmailDraft("request_declined", title, data={"note": without_links(event.note)}))
        text = words.gettext("You have not been charged.")
        change.notify_customer("request_declined", title, f"{text} {event.note}".strip())
        title = theirs.gettext("Order %(number)s was declined", number=log.number)
        change.notify_staff("request_declined", title, theirs.gettext("Nothing is charged."))
    return change.decision()
