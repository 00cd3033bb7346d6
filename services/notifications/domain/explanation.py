"""Why emails and webhook deliveries of an order are where they are, and which commands would be accepted now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.notifications.domain.notification_log import Email, NotificationLog, WebhookDelivery, notification_logs
from shared.contracts.notifications import ReplayWebhooks, ResendMails, SettleMail
from shared.core import Command
from shared.core.dry_run import Rows, possible
from shared.core.explanation import Explanation, Waits

MOST = 50
"""Messages of which it is said what they wait for."""


def explanation(log: NotificationLog, key: str, at: datetime, rows: Rows) -> Explanation:
    """`rows`: those that `commands` need."""
    lost = log.lost_emails() + log.lost_deliveries()
    return Explanation(
        state="pending" if log.pending() else "lost" if lost else "settled",
        why="",
        waits=[*_waits(log)],
        following=["lost", "settled"] if log.pending() else ["pending"],
        commands=[*possible(notification_logs, log, commands(log), key, at, rows)],
    )


def _waits(log: NotificationLog) -> Iterator[Waits]:
    waiting = [each for each in log.messages if each.state == "pending" or each.is_lost]
    for message in waiting[:MOST]:
        yield _of_email(message) if isinstance(message, Email) else _of_delivery(message)
    if len(waiting) > MOST:
        yield Waits("notifications", f"{len(waiting) - MOST} more emails and webhook deliveries.")


def _of_email(email: Email) -> Waits:
    what = f"email {email.template} to the {'customer' if email.audience == 'customer' else 'store'}"
    match email.state:
        case "failed":
            return Waits("staff", f"Resend the {what}: it was not sent.{_text(email)}")
        case "unknown":
            return Waits("staff", f"Look up whether the {what} was sent, and settle it.{_text(email)}")
    until = email.in_doubt.next_try if email.in_doubt else None
    return Waits("notifications", f"Send the {what}.{_text(email)}", until)


def _of_delivery(delivery: WebhookDelivery) -> Waits:
    what = f"{delivery.event} to endpoint {delivery.endpoint}"
    match delivery.state:
        case "exhausted":
            return Waits("staff", f"Replay {what}: it was not accepted in time.{_text(delivery)}")
        case "paused":
            return Waits("staff", f"Resume the endpoint, and replay {what}.{_text(delivery)}")
    return Waits("outside", f"Accept {what}.{_text(delivery)}")


def _text(message: Email | WebhookDelivery) -> str:
    return f" ({message.text})" if message.text else ""


def commands(log: NotificationLog) -> list[Command]:
    found: list[Command] = [ResendMails(), ReplayWebhooks()]
    email = next((each for each in log.emails if each.is_lost), log.emails[0] if log.emails else None)
    if email:
        found.append(SettleMail(message=email.id, outcome="sent", reason="An example."))
    return found
