"""The timeline of `orderbus order`: checkout's, with the emails and webhooks that arrived."""

from __future__ import annotations

from typing import Any

from deploy.cli.order_timeline import whole_timeline


def entry(what: str, at: str, **detail: str) -> dict[str, Any]:
    return {"at": at, "actor": "system", "what": what, "text": what, "detail": detail, "id": "1"}


def mail(message: str, at: str | None, state: str = "sent", audience: str = "customer") -> dict[str, Any]:
    return {"message": message, "template": "delivery", "audience": audience, "state": state, "at": at}


def hook(message: str, at: str | None, state: str = "delivered") -> dict[str, Any]:
    return {"message": message, "endpoint": "crm", "event": "order.completed", "attempts": 2, "state": state, "at": at}


PAID = entry("order.paid", "2026-03-03T14:05:00.100000+00:00")
COMPLETED = entry("order.completed", "2026-03-03T14:05:02+00:00")


def test_what_arrived_stands_where_it_happened() -> None:
    notifications = {
        "mails": [mail("<1@s>", "2026-03-03T14:05:01Z"), mail("<2@s>", "2026-03-03T14:05:03Z", audience="staff")],
        "webhooks": [hook("msg_1", "2026-03-03T14:05:02.5Z")],
    }

    shown = whole_timeline([PAID, COMPLETED], notifications)

    assert [(it["what"], it["text"]) for it in shown] == [
        ("order.paid", "order.paid"),
        ("email.sent", "Email to the customer sent: delivery."),
        ("order.completed", "order.completed"),
        ("webhook.delivered", "Webhook crm accepted order.completed on attempt 2."),
        ("email.sent", "Email to staff sent: delivery."),
    ]
    assert shown[1]["detail"] == {"message": "<1@s>"} and shown[1]["actor"] == "system"


def test_what_checkout_has_noted_of_an_older_build_is_shown_once() -> None:
    sent = entry("email.sent", "2026-03-03T14:05:01+00:00", message="<1@s>")
    settled = entry("email.settled", "2026-03-03T14:05:02+00:00", message="<2@s>", outcome="sent")
    delivered = entry("webhook.delivered", "2026-03-03T14:05:03+00:00", message="msg_1")
    failed = entry("email.failed", "2026-03-03T14:05:04+00:00", message="<3@s>")
    at = "2026-03-03T14:05:05Z"
    notifications = {"mails": [mail(f"<{n}@s>", at) for n in (1, 2, 3)], "webhooks": [hook("msg_1", at)]}

    shown = whole_timeline([sent, settled, delivered, failed], notifications)

    assert shown[:-1] == [sent, settled, delivered, failed]
    assert shown[-1]["detail"] == {"message": "<3@s>"}


def test_what_is_pending_or_lost_has_not_arrived_and_a_service_that_is_away_hides_nothing() -> None:
    lost = {
        "mails": [mail("<1@s>", None, "pending"), mail("<2@s>", None, "failed")],
        "webhooks": [hook("m", None, "paused")],
    }
    assert whole_timeline([PAID], lost) == [PAID]
    assert whole_timeline([PAID], None) == [PAID]
