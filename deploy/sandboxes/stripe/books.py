"""The sandbox's books in memory, and the unit of work that changes them.

A rule gets a `Transaction`, reads through it, and leaves in it the records to keep and the events to tell. Nothing
touches the books until the whole of it is in the journal.
"""

from __future__ import annotations

import secrets
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

import orjson

from deploy.sandboxes.stripe.cards import RefundCourse
from deploy.sandboxes.stripe.errors import StripeError, missing
from deploy.sandboxes.stripe.journal import Place
from deploy.sandboxes.stripe.objects import (
    KINDS,
    PREFIXES,
    BalanceTransaction,
    Charge,
    PaymentIntent,
    Record,
    Refund,
)
from deploy.sandboxes.stripe.rendering import API_VERSION, render

R = TypeVar("R", bound=Record)
NOUNS = {"payment_method": "PaymentMethod"}


class Event(NamedTuple):
    """What happened; its full text is in the journal at `place`."""

    id: str
    type: str
    created: int
    place: Place


@dataclass(slots=True)
class Shelf:
    """Records of one kind in the order they were made."""

    by_id: dict[str, Any] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    position: dict[str, int] = field(default_factory=dict)

    def put(self, record: Any) -> None:
        if record.id not in self.by_id:
            self.position[record.id] = len(self.ids)
            self.ids.append(record.id)
        self.by_id[record.id] = record

    def first_since(self, created: int) -> int:
        """The position of the first record made at or after a time (they are kept in order of time)."""
        return bisect_left(self.ids, created, key=lambda identifier: self.by_id[identifier].created)

    def newest_first(self, lowest: int, highest: int) -> Iterator[Any]:
        """The records at positions highest-1 … lowest."""
        for place in range(highest - 1, lowest - 1, -1):
            yield self.by_id[self.ids[place]]


class Books:
    """Every record, event and balance. Changed by `apply` only. `subscribed`: the types of event that webhooks tell."""

    def __init__(self, subscribed: frozenset[str] = frozenset()) -> None:
        self.subscribed = subscribed
        self.shelves: dict[type[Any], Shelf] = {kind: Shelf() for kind in KINDS.values()}
        self.shelves[Event] = Shelf()
        self.charges_of: dict[str, list[str]] = {}
        self.authorised: set[str] = set()
        self.unsettled: set[str] = set()
        """Refunds whose status will change by itself."""
        self.balance: dict[str, int] = {}

    def get(self, kind: type[R], identifier: str) -> R | None:
        return cast("R | None", self.shelves[kind].by_id.get(identifier))

    def all(self, kind: type[R]) -> Iterator[R]:
        return cast("Iterator[R]", iter(self.shelves[kind].by_id.values()))

    def apply(self, record: Record) -> None:
        match record:
            case PaymentIntent():
                (self.authorised.add if record.status == "requires_capture" else self.authorised.discard)(record.id)
            case Charge() if record.id not in self.shelves[Charge].by_id:
                self.charges_of.setdefault(record.intent, []).append(record.id)
            case Refund():
                settled = record.succeeds_at is None and record.bounces_at is None
                (self.unsettled.discard if settled else self.unsettled.add)(record.id)
            case BalanceTransaction():
                self.balance[record.currency] = self.balance.get(record.currency, 0) + record.amount - record.fee
        self.shelves[type(record)].put(record)

    def refunds_of(self, charge: Charge) -> list[Refund]:
        """Newest first."""
        return [self.shelves[Refund].by_id[identifier] for identifier in reversed(charge.refunds)]


@dataclass(slots=True)
class Transaction:
    """One request's work. `base` is the sandbox's address as its caller knows it (for pages), `exact` the time with its
    fraction, `refusal` why the account can make no charge, `course` how refunds go on that are made here, where it is
    not for the card to say."""

    books: Books
    now: int
    base: str = ""
    request_id: str | None = None
    key: str | None = None
    exact: float = 0.0
    refusal: StripeError | None = None
    course: RefundCourse | None = None
    puts: dict[str, Record] = field(default_factory=dict)
    events: list[tuple[str, str, bytes]] = field(default_factory=list)
    _texts: dict[str, tuple[Record, bytes]] = field(default_factory=dict)

    def new_id(self, kind: type[Record]) -> str:
        return PREFIXES[kind] + secrets.token_hex(10)

    def new_secret(self, identifier: str) -> str:
        """The client secret of an intent; its end opens the bank's page."""
        return f"{identifier}_secret_{secrets.token_hex(12)}"

    def get(self, kind: type[R], identifier: str) -> R | None:
        record = self.puts.get(identifier)
        return record if isinstance(record, kind) else self.books.get(kind, identifier)

    def find(self, kind: type[R], identifier: str, param: str = "id") -> R:
        record = self.get(kind, identifier)
        if record is None:
            noun = kind.__name__
            snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in noun).strip("_")
            raise missing(NOUNS.get(snake, snake), identifier, param)
        return record

    def put(self, record: R) -> R:
        self.puts[record.id] = record
        return record

    def text(self, record: Record) -> bytes:
        """The record's JSON; the same text serves the answer and the event."""
        known = self._texts.get(record.id)
        if known is None or known[0] is not record:
            known = self._texts[record.id] = (record, orjson.dumps(render(record)))
        return known[1]

    def emit(self, type: str, record: Record) -> None:
        identifier = "evt_3" + secrets.token_hex(10)
        event = {
            "id": identifier,
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": {"object": orjson.Fragment(self.text(record))},
            "livemode": False,
            "pending_webhooks": int(type in self.books.subscribed),
            "request": {"id": self.request_id, "idempotency_key": self.key},
            "type": type,
        }
        self.events.append((identifier, type, orjson.dumps(event)))
