"""Benchmarks count an order when it is completed and all its mails and webhooks are taken, and not before."""

from __future__ import annotations

import itertools

import orjson
import pytest

from shared.contracts.checkout import OrderCompleted, OrderItemsDelivered
from shared.contracts.notifications import (
    EmailFailed,
    EmailSent,
    MessageStatusRecord,
    WebhookDelivered,
    WebhookExhausted,
)
from tests.benchmarks.customers import Lives
from tests.benchmarks.settlement import MAILS, WEBHOOKS, Progress

NUMBERS = itertools.count()


def new_id() -> bytes:
    return str(next(NUMBERS)).encode()


def seen(order: Progress, *types: str) -> Progress:
    for event_type in types:
        order.add(event_type, new_id())
    return order


def completed_order() -> Progress:
    return seen(Progress(), OrderItemsDelivered.type, OrderCompleted.type)


ALL = [EmailSent.type] * (MAILS + 1) + [WebhookDelivered.type] * WEBHOOKS
"""Of an order whose items were delivered in one message."""


def test_an_order_is_settled_with_its_last_mail_or_webhook() -> None:
    for last in range(len(ALL)):
        order = seen(completed_order(), *ALL[:last], *ALL[last + 1 :])
        assert not order.settled
        assert seen(order, ALL[last]).settled


def test_mails_and_webhooks_alone_settle_nothing() -> None:
    order = seen(Progress(), OrderItemsDelivered.type, *ALL)
    assert not order.settled
    assert seen(order, OrderCompleted.type).settled


def test_each_message_of_delivered_items_wants_a_mail_of_its_own() -> None:
    order = seen(Progress(), OrderItemsDelivered.type, OrderItemsDelivered.type, OrderCompleted.type, *ALL)
    assert not order.settled
    assert seen(order, EmailSent.type).settled


def test_an_event_that_arrives_twice_counts_once() -> None:
    order = seen(completed_order(), *ALL[1:])
    again = new_id()
    for _ in range(2):
        order.add(WebhookDelivered.type, again)
    assert not order.settled


@pytest.mark.parametrize("event_type", [EmailFailed.type, WebhookExhausted.type])
def test_what_was_given_up_never_settles(event_type: str) -> None:
    order = seen(completed_order(), *(ALL[1:] if event_type == EmailFailed.type else ALL[:-1]))
    assert not seen(order, event_type).settled
    assert order.given_up == 1


def record(revision: int, mails: int, webhooks: int) -> bytes:
    """The status record of an order of which so many mails and webhooks were taken, and others wait."""
    emails = [{"state": "sent"}] * mails + [{"state": "pending"}] * (MAILS + 1 - mails)
    hooks = [{"state": "delivered"}] * webhooks + [{"state": "exhausted"}] * (WEBHOOKS - webhooks)
    return orjson.dumps({"revision": revision, "emails": emails, "webhooks": hooks})


@pytest.mark.parametrize(("mails", "webhooks"), [(MAILS, WEBHOOKS), (MAILS + 1, WEBHOOKS - 1)])
def test_a_status_record_settles_an_order_when_it_says_that_all_was_taken(mails: int, webhooks: int) -> None:
    lives = Lives(1, progress={"a": completed_order()})
    lives.see("a", MessageStatusRecord.type, new_id(), 1, record(2, mails, webhooks))
    assert (lives.mails, lives.webhooks, lives.settled) == (mails, webhooks, 0)

    lives.see("a", MessageStatusRecord.type, new_id(), 2, record(3, MAILS + 1, WEBHOOKS))
    assert lives.settled == 1
    lives.see("a", MessageStatusRecord.type, new_id(), 3, record(2, mails, webhooks))  # read again
    assert (lives.mails, lives.webhooks) == (MAILS + 1, WEBHOOKS)


def test_the_rate_ends_with_the_last_settled_order() -> None:
    lives = Lives(2, began=1.0, progress={"a": Progress(), "b": Progress()}, placed={"a": 100, "b": 100})
    for key in ("a", "b"):
        lives.see(key, OrderItemsDelivered.type, new_id(), 150)
        assert lives.see(key, OrderCompleted.type, new_id(), 200)
    assert lives.completed_at and not lives.settled_at
    for key, event_type in itertools.product(("a", "b"), ALL):
        assert not lives.see(key, event_type, new_id(), 300)

    assert (lives.settled, lives.mails, lives.webhooks) == (2, 2 * (MAILS + 1), 2 * WEBHOOKS)
    assert lives.latencies == [100, 100]
    lives.completed_at, lives.settled_at = 2.0, 5.0
    assert (lives.rate_until_completed, lives.rate) == (2.0, 0.5)


def test_events_of_other_orders_are_not_counted() -> None:
    lives = Lives(1, progress={"a": Progress()})
    assert not lives.see("b", OrderCompleted.type, new_id(), 1)
    assert not lives.latencies
