"""What answers of notifications hold, for its OpenAPI document."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import TypedDict


class MessageAttempt(TypedDict):
    """One try to send a message."""

    at: datetime
    """When it ended."""
    delivered: bool
    """It arrived."""
    result: str
    """What the receiver answered, or why there was no answer."""


class MessageWaits(TypedDict, total=False):
    """A message that is to be tried again, as `GET /operations` tells it."""

    since: datetime
    """Since when it waits."""
    attempts: int
    """How many tries were begun."""
    error: str
    """Why the latest one did not succeed."""
    next_try: datetime | None
    """When it is tried next; null: when its destination is resumed, or it is being tried."""
    paused: str
    """Why its destination is paused; empty: it is not."""
    in_doubt: bool
    """Whether the latest try arrived is unknown."""


class _MessageAnswer(TypedDict):
    """An email or a webhook delivery."""

    message: str
    """Its id, by which it can be sent again."""
    fact: str
    """What it tells of."""
    state: str
    """`pending`, `sent`, `delivered`, `failed`, `unknown`, `exhausted` and others."""
    attempts: int
    """How many tries there were."""
    at: datetime
    """When its state was reached."""
    text: str | None
    """Why it has this state, for staff."""
    waiting: MessageWaits | None
    """Null unless it is to be tried again."""
    log: list[MessageAttempt]
    """Tries of rounds that have ended."""


class EmailAnswer(_MessageAnswer):
    """An email about an order."""

    template: str
    """Which email: `order_confirmation`."""
    audience: str
    """`customer` or `staff`."""
    code: str | None
    """The mail server's, where it refused it."""


class DeliveryAnswer(_MessageAnswer):
    """A webhook delivery about an order."""

    event: str
    """Which event: `order.completed`."""
    endpoint: str
    """The endpoint to which it is sent."""


class TimedFact(TypedDict):
    """Something that an order's customer or staff were told of."""

    name: str
    """What it is: `placed`, `paid`."""
    at: datetime
    """When it happened."""


class OrderFeeds(TypedDict):
    """In which feeds an order's entries are."""

    customer: str | None
    """The customer's, `<store>~customer~<id or email>`."""
    staff: str
    """That of the store's staff."""


class OrderNotifications(TypedDict):
    """An order's emails, webhook deliveries and feeds."""

    order: str
    """The order's id."""
    number: str
    """The order's number."""
    store: str
    """The store's id."""
    feeds: OrderFeeds
    """By reader."""
    facts: list[TimedFact]
    """What its messages tell of."""
    mails: list[EmailAnswer]
    """Its emails."""
    webhooks: list[DeliveryAnswer]
    """Its webhook deliveries."""


class LostMessage(TypedDict, total=False):
    """An email or webhook delivery that was lost."""

    order: str
    """The order's id."""
    number: str
    """The order's number."""
    newer: bool
    """True: only a newer build can read the order's messages; no other field follows."""
    message: str
    """Its id, by which it can be sent again."""
    fact: str
    """What it tells of."""
    template: str
    """Of an email: which one."""
    audience: str
    """Of an email: `customer` or `staff`."""
    code: str | None
    """Of an email: the mail server's, where it refused it."""
    event: str
    """Of a webhook delivery: which event."""
    endpoint: str
    """Of a webhook delivery: to which endpoint."""
    state: str
    """`failed`, `unknown`, `exhausted` or `paused`."""
    attempts: int
    """How many tries there were."""
    at: datetime
    """When it was lost."""
    text: str | None
    """Why, for staff."""
    waiting: MessageWaits | None
    """Null unless it is to be tried again."""
    log: list[MessageAttempt]
    """Empty: the order's notifications have it."""
