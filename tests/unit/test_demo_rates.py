"""The demo counts an order when its story has ended and its last mail or webhook was taken."""

from __future__ import annotations

from typing import Any, cast

import pytest

from deploy.client.storefront import Read
from deploy.demo.play import Life, Tally
from deploy.demo.shop import Order, Shop
from deploy.demo.stories import STORIES
from shared.contracts.notifications import MessageStatusRecord, WebhookExhausted


def life(name: str, ended_at: float | None, taken_at: float | None) -> Life:
    order = Order(name, cast(Shop, None), "lighthouse", taken_at=taken_at)
    return Life(order, STORIES[0], ended_at)


def tally(*lives: Life) -> Tally:
    return Tally(len(lives), list(lives), began=0.0, ends=[it.ended_at for it in lives if it.ended_at is not None])


def test_an_order_is_settled_with_its_last_mail() -> None:
    assert life("a", 2.0, 5.0).settled_at == 5.0
    assert life("a", 5.0, 2.0).settled_at == 5.0
    assert life("a", 5.0, None).settled_at == 5.0
    assert life("a", None, 5.0).settled_at is None


def test_both_rates() -> None:
    given = tally(*(life(str(n), 10.0, 20.0) for n in range(100)))
    assert given.rate_until_ended() == pytest.approx(9.5)
    assert given.settled_rate(()) == pytest.approx(4.75)


def test_orders_whose_mails_wait_are_not_counted() -> None:
    given = tally(*(life(str(n), 10.0, 20.0) for n in range(100)))
    assert given.settled_rate({str(n) for n in range(60)}) == pytest.approx(2.0)
    assert tally(life("a", 1.0, 1.0)).settled_rate({"a"}) == 0.0


@pytest.mark.parametrize("event_type", [MessageStatusRecord.type, WebhookExhausted.type])
def test_the_outcome_of_an_email_or_webhook_is_seen(event_type: str) -> None:
    order = Order("a", cast(Shop, None), "lighthouse")
    body: dict[str, Any] = {"message": "m", "revision": 9}
    order.learn(Read("notifications.events.v1", "a", event_type, {}, body, 1))
    assert order.taken_at is not None
    assert order.latest == {}
