"""An order's timeline as staff render it from its events, and from the record of its messages."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from services.staff.domain.archive import EventRow
from services.staff.domain.timeline import OrderWords, TimelineEntry, entry_of, timeline
from shared.contracts import checkout, fulfillment, notifications, payments
from shared.contracts.envelope import encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.notifications import EmailStatus, MessageStatusRecord, WebhookStatus
from shared.contracts.order_status import OrderStatusRecord
from shared.contracts.order_work import OrderNoted
from shared.core import Event
from shared.core.messages import MESSAGES

AT = datetime(2026, 3, 3, 14, 5, tzinfo=UTC)
TOPICS = (checkout.ORDERS, payments.EVENTS, fulfillment.EVENTS, notifications.EVENTS)
ARCHIVED = [kind for kind in MESSAGES.values() if issubclass(kind, Event) and kind.topic in TOPICS]
RECORD = cast("OrderStatusRecord", EXAMPLES[OrderStatusRecord])


def row(event: Event, number: int = 1, **changes: Any) -> EventRow:
    fields: dict[str, Any] = {
        "key": "o-1",
        "at": AT + timedelta(seconds=number),
        "id": UUID(int=number),
        "topic": event.topic.name,
        "source": event.topic.owner,
        "type": event.type,
        "version": event.version,
        "store": "northwind",
        "sequence": number,
        "actor": "staff:anna",
        "correlation": "",
        "causation": "",
        "body": encode(event),
    }
    return EventRow(**(fields | changes))


def entry(event: Event, **changes: Any) -> TimelineEntry:
    return entry_of(row(event, **changes), OrderWords.of(RECORD))


def example(kind: type[Event]) -> Event:
    found = EXAMPLES[kind]
    assert isinstance(found, Event)
    return found


# Every event


@pytest.mark.parametrize("kind", ARCHIVED, ids=lambda kind: f"{kind.type}/{kind.version}")
def test_every_event_of_every_topic_is_told_in_words(kind: type[Event]) -> None:
    event = example(kind)
    told = entry(event)
    assert "cannot read" not in told.text, "words of its own"
    assert re.match(r"[A-Z0-9]|[a-z]+\.[a-z_]+ was refused: ", told.text), told.text
    assert " " in told.text and "None" not in told.text, "for people"
    assert told.what == (event.what if isinstance(event, OrderNoted) else event.type)
    assert (told.source, told.at) == (kind.topic.owner, AT + timedelta(seconds=1))


SECRET = re.compile(r"https?://|[\w.+-]+@[\w-]+\.|pm_\w|tok_\w|whsec_")
"""Links to pay and to download, addresses of people, tokens."""


@pytest.mark.parametrize("kind", ARCHIVED, ids=lambda kind: f"{kind.type}/{kind.version}")
def test_no_entry_has_personal_data_or_secrets(kind: type[Event]) -> None:
    """But the address from which an order was placed, which staff look at against fraud; and, where a call failed, what
    did not answer."""
    event = example(kind)
    told = entry(event)
    shown = ("message", "messages", "client_ip", "attempts")
    detail = {name: value for name, value in told.detail.items() if name not in shown}
    assert not SECRET.search(f"{told.text} {detail}")
    assert not _personal(event, f"{told.text} {told.detail}")


def _personal(event: Event, text: str) -> list[str]:
    """What an event says of the customer, or gives to the customer, and the entry says, too."""
    found: list[str] = []
    body = event.model_dump(mode="json")
    if isinstance(event, checkout.OrderPlaced):
        found += [event.customer.email, event.customer.name, *_texts(body["billing"]), *_texts(body["shipping"])]
    items = [item for item in body.get("items") or () if isinstance(item, dict)]
    for given in [body.get("instructions"), *(item.get("instructions") for item in items)]:
        found += [given[name] for name in ("code", "link", "note") if given and given.get(name)]
    return [each for each in found if len(each) > 3 and each in text]


def _texts(part: object) -> list[str]:
    return [value for value in part.values() if isinstance(value, str)] if isinstance(part, dict) else []


# The order's words


def test_items_are_called_by_their_names() -> None:
    item = RECORD.items[0]
    waits = fulfillment.ItemWaiting(item=item.item, code="task", text="Engrave it.")
    assert entry(waits).text == f"{item.product} is waiting: Engrave it."
    assert entry_of(row(waits), OrderWords()).text == f"Item {item.item} is waiting: Engrave it."


def test_who_did_it_is_the_sender_unless_the_event_says_otherwise() -> None:
    assert entry(checkout.OrderCancelled(reason="Twice.")).actor == "staff:anna"
    assert entry(checkout.OrderCompleted()).actor == "system"
    assert entry(checkout.OrderCompleted(by_hand=True, by="staff:eve")).actor == "staff:eve"
    assert entry(fulfillment.StockReserved(), actor="").actor == "system"
    noted = entry(OrderNoted(what="order.complete", text="Completed manually.", by="staff:eve", detail={"note": "x"}))
    assert (noted.actor, noted.what, noted.detail) == ("staff:eve", "order.complete", {"note": "x"})


@pytest.mark.parametrize(
    "changes", [{"type": "order.painted"}, {"version": 9}, {"body": b"{"}, {"type": "order.paid", "body": b"{}"}]
)
def test_an_event_that_this_build_does_not_know_gets_an_entry_by_its_type(changes: dict[str, Any]) -> None:
    told = entry(fulfillment.StockReserved(), **changes)
    assert told.text == f"{told.what}, which this version of orderbus cannot read."
    assert (told.source, told.detail, told.actor) == ("fulfillment", {}, "staff:anna")


# The order of entries


def test_entries_are_in_order_of_time_and_what_one_service_told_at_once_in_its_order() -> None:
    paid = checkout.OrderPaid(amount=1000, currency="USD")
    rows = [
        row(checkout.OrderCompleted(), 3, at=AT, sequence=5),
        row(paid, 9, at=AT, sequence=4),
        row(fulfillment.StockReserved(), 1, at=AT - timedelta(seconds=1), sequence=7),
    ]
    found = timeline(rows, RECORD)
    assert [it.what for it in found] == ["stock.reserved", "order.paid", "order.completed"]


# Emails and webhook deliveries


def record_of(*messages: EmailStatus | WebhookStatus) -> MessageStatusRecord:
    return MessageStatusRecord(
        number="ORD-1",
        store="northwind",
        revision=1,
        updated_at=AT,
        emails=tuple(it for it in messages if isinstance(it, EmailStatus)),
        webhooks=tuple(it for it in messages if isinstance(it, WebhookStatus)),
    )


def email(state: str = "sent", **changes: Any) -> EmailStatus:
    fields: dict[str, Any] = {
        "message": "<a@b>",
        "fact": "paid",
        "template": "order_confirmation",
        "audience": "customer",
    }
    return EmailStatus(**(fields | {"state": state, "attempts": 1, "at": AT} | changes))


def webhook(state: str = "delivered", **changes: Any) -> WebhookStatus:
    fields: dict[str, Any] = {"message": "msg_1", "fact": "paid", "event": "order.updated", "endpoint": "crm"}
    return WebhookStatus(**(fields | {"state": state, "attempts": 2, "at": AT} | changes))


@pytest.mark.parametrize(
    ("message", "what", "text"),
    [
        (email(), "email.sent", "Email to the customer sent: order_confirmation."),
        (email("failed", text="550 No."), "email.failed", "Email to the customer failed: order_confirmation. 550 No."),
        (email("unknown", audience="staff"), "email.failed", "Email to staff failed: order_confirmation."),
        (webhook(), "webhook.delivered", "Webhook crm accepted order.updated on attempt 2."),
        (webhook("exhausted"), "webhook.exhausted", "Webhook crm did not accept order.updated after 2 attempts."),
        (webhook("paused"), "webhook.paused", "Webhook crm is paused: order.updated is not sent."),
        (webhook("removed"), "webhook.removed", "Webhook crm was removed: order.updated is not sent."),
    ],
)
def test_how_each_message_ended_is_in_the_timeline(message: EmailStatus | WebhookStatus, what: str, text: str) -> None:
    (found,) = timeline([], RECORD, record_of(message))
    assert (found.what, found.text, found.source, found.at) == (what, text, "notifications", AT)
    assert found.id == found.detail["message"] == message.message


def test_what_waits_is_not() -> None:
    assert timeline([], RECORD, record_of(email("pending", at=None), webhook("pending", at=None))) == []


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        (notifications.EmailSent(message="<a@b>", template="x", audience="customer"), email()),
        (
            notifications.EmailSettled(message="<a@b>", template="x", audience="staff", outcome="sent", reason="Log."),
            email(),
        ),
        (
            notifications.EmailFailed(message="<a@b>", template="x", audience="staff", code="c", text="t"),
            email("failed"),
        ),
        (notifications.WebhookDelivered(message="msg_1", endpoint="crm", event="order.updated", attempts=2), webhook()),
        (
            notifications.WebhookExhausted(message="msg_1", endpoint="crm", event="e", attempts=2, text="t"),
            webhook("exhausted"),
        ),
    ],
)
def test_what_a_fact_tells_is_not_told_again(fact: Event, message: EmailStatus | WebhookStatus) -> None:
    assert [it.what for it in timeline([row(fact)], RECORD, record_of(message))] == [fact.type]


def test_an_email_that_was_lost_and_then_sent_is_told_twice() -> None:
    lost = notifications.EmailFailed(message="<a@b>", template="x", audience="staff", code="c", text="t")
    found = timeline([row(lost)], RECORD, record_of(email(at=AT + timedelta(hours=1))))
    assert [it.what for it in found] == ["email.failed", "email.sent"]
