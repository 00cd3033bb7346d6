"""What the lists of every service have, for the OpenAPI documents. Fields can be missing where that is said."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import TypedDict


class FailedCall(TypedDict):
    """A call that did not succeed."""

    at: datetime
    """When it ended."""
    error: str
    """Why, for staff."""


class WaitingCall(TypedDict):
    """A call to an outside system that waits to be made, or is being made."""

    id: str
    """The operation's id."""
    key: str
    """Usually the order's id."""
    kind: str
    """What is called: `ChargeCard`, `SendEmail`."""
    destination: str
    """The outside system."""
    since: datetime
    """Since when it waits."""
    attempts: int
    """How many calls were begun."""
    error: str
    """Why the latest one did not succeed; empty: none has failed."""
    next_try: datetime | None
    """When it is called next; null while it is being called, or paused."""
    under_way: bool
    """It is being called now."""
    in_doubt: bool
    """Whether the latest call took effect is unknown."""
    paused: str
    """Why calls to the outside system are paused; empty: they are not."""
    calls: list[FailedCall]
    """The latest 20 that did not succeed."""


class PausedDestination(TypedDict):
    """An outside system to which no worker makes calls."""

    destination: str
    """The outside system."""
    since: datetime
    """Since when calls are paused."""
    reason: str
    """Why, and what to do."""
    worker: str
    """Which worker found that out."""
    probes: int
    """How often a single call was tried since."""
    next_probe: datetime | None
    """When the next single call is tried."""


class SilentDestination(TypedDict):
    """An outside system that does not answer this worker."""

    destination: str
    """The outside system."""
    failures: int
    """How many calls in a row had no answer."""
    in_flight: int
    """How many calls are being made now."""
    next_probe_seconds: float
    """In how many seconds a single call is tried."""


class ParkedBrief(TypedDict):
    """A message that was parked."""

    key: str
    """The key that waits with it, usually the order's id."""
    id: int
    """Its number in this service, by which it can be skipped."""
    message: str
    """Its message id."""
    type: str
    """Its type: `order.paid`."""
    origin: str
    """`record`, `timer`, `outcome`, `report`, or `projected`: a record that read models are made of."""
    topic: str
    """Where it was read; empty unless it is a record."""
    partition: int
    """The topic's partition."""
    offset: int
    """Its place in the partition."""
    reason: str
    """`failed`, `newer` (waits for a newer build) or `behind` (waits behind another one of its key)."""
    error: str
    """What went wrong."""
    parked_at: datetime
    """When it was parked."""


class ParkedWhole(ParkedBrief):
    """A message that was parked, with headers and body."""

    headers: dict[str, object]
    """Headers by name; what is no text is written as `\\xff`."""
    body: str | None
    """The first 10,000 bytes of the body; what is no text is written as `\\xff`."""


class LateTimer(TypedDict):
    """A timer that is overdue, since this build cannot read it."""

    key: str
    """Usually the order's id."""
    name: str
    """Its name within the key."""
    type: str
    """What it starts."""
    due: datetime
    """When it was due."""


class UndeliverableBrief(TypedDict):
    """A record that Kafka refuses."""

    id: int
    """Its number in this service."""
    topic: str
    """Where it belongs."""
    key: str
    """Usually the order's id."""
    type: str
    """Its type: `order.paid`."""
    bytes: int
    """Its size."""
    error: str
    """Why Kafka refuses it."""
    waiting: int
    """How many records wait behind it."""
    since: datetime
    """When it was refused first."""


class UndeliverableWhole(UndeliverableBrief):
    """A record that Kafka refuses, with headers and body."""

    headers: list[list[str]]
    """Pairs of name and value."""
    body: str
    """The body, as text."""
