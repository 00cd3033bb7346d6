"""An order's timeline as staff read it: checkout's, and when emails and webhooks arrived, which notifications knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

Entry = Mapping[str, Any]
SENT, DELIVERED = "email.sent", "webhook.delivered"
"""What such entries are called; older builds told checkout of each by a fact of that name."""


def whole_timeline(entries: Sequence[Entry], notifications: Mapping[str, Any] | None) -> list[Entry]:
    """By time. `entries`: checkout's; `notifications`: as `GET /orders/{key}/notifications` answers, None where it does
    not."""
    if notifications is None:
        return [*entries]
    known = {entry["detail"].get("message") for entry in entries if _tells_arrival(entry)}
    arrived = (entry for entry in _arrivals(notifications) if entry["detail"]["message"] not in known)
    return sorted([*entries, *arrived], key=lambda entry: datetime.fromisoformat(entry["at"]))


def _tells_arrival(entry: Entry) -> bool:
    return entry["what"] in (SENT, DELIVERED) or (
        entry["what"] == "email.settled" and entry["detail"].get("outcome") == "sent"
    )


def _arrivals(notifications: Mapping[str, Any]) -> Iterator[Entry]:
    for mail in notifications["mails"]:
        if mail["state"] == "sent":
            reader = "the customer" if mail["audience"] == "customer" else "staff"
            yield _entry(mail, SENT, f"Email to {reader} sent: {mail['template']}.")
    for hook in notifications["webhooks"]:
        if hook["state"] == "delivered":
            text = f"Webhook {hook['endpoint']} accepted {hook['event']} on attempt {hook['attempts']}."
            yield _entry(hook, DELIVERED, text)


def _entry(one: Entry, what: str, text: str) -> Entry:
    about = {"message": one["message"]}
    return {"at": one["at"], "actor": "system", "what": what, "text": text, "detail": about, "id": one["message"]}
