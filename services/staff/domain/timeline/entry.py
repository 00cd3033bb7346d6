"""What an entry of a timeline is made of, and who words which event."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from services.staff.domain.archive import EventRow
from shared.contracts.order_status import OrderStatusRecord
from shared.contracts.values import Card
from shared.core import Event
from shared.core.fast_dataclasses import fast
from shared.core.money import Money
from shared.core.struct import Struct

E = TypeVar("E", bound=Event)
SYSTEM = "system"


class TimelineEntry(Struct):
    """Something that happened to an order."""

    id: str
    """That of the event, or of the email or webhook delivery."""
    at: datetime
    actor: str
    """Whose doing it was: `staff:anna`, `customer`, `system`."""
    source: str
    """The service that tells it."""
    what: str
    """The wire type: `payment.captured`."""
    text: str
    detail: Mapping[str, Any]
    sequence: int = 0
    """Orders what a service told of the order at the same time."""

    @property
    def place(self) -> tuple[datetime, int, str]:
        """By which entries are sorted."""
        return self.at, self.sequence, self.id


@fast
@dataclass(frozen=True, slots=True)
class OrderWords:
    """What the words for an event need of the order."""

    currency: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    """Of its items and of what comes along, by id."""
    products: Collection[str] = ()
    """Its items that are no delivery charges."""

    @classmethod
    def of(cls, record: OrderStatusRecord | None) -> OrderWords:
        if record is None:
            return cls()
        names = {extra.id: extra.name for extra in record.extras} | {it.item: it.product for it in record.items}
        return cls(record.currency, names, {it.item for it in record.items if not it.is_delivery_charge})

    def name_of(self, item: str, name: str | None = None) -> str:
        """`name`: as the event itself calls it."""
        return name or self.names.get(item) or WITHOUT_A_NAME.get(item) or f"Item {item}"

    def names_of(self, items: Iterable[str]) -> str:
        return ", ".join(dict.fromkeys(self.name_of(item) for item in items))


WITHOUT_A_NAME = {"order": "What comes with every order", "offer": "What comes with the offer"}


@fast
@dataclass(frozen=True, slots=True)
class Told:
    """What an event says, in words."""

    text: str
    detail: Mapping[str, Any]
    actor: str
    """Empty: who the event names."""
    what: str
    """Empty: the event's type."""


Words = Callable[[E, OrderWords, EventRow], Told]
WORDS: dict[type[Event], Words[Any]] = {}
"""By class of event."""


def tells(*kinds: type[Event]) -> Callable[[Words[Any]], Words[Any]]:
    """Registers the words for events."""

    def register(words: Words[Any]) -> Words[Any]:
        for kind in kinds:
            if kind in WORDS:
                raise TypeError(f"{kind.__name__} is worded twice")
            WORDS[kind] = words
        return words

    return register


def told(text: str, /, *, actor: str = "", what: str = "", **detail: Any) -> Told:
    """Detail that is empty is left out."""
    given = {name: value for name, value in detail.items() if value not in (None, "", (), [], {})}
    return Told(text, given, actor, what)


def money(amount: int, currency: str) -> str:
    return str(Money(amount, currency))


def card_name(card: Card | None) -> str:
    return f"{card.brand} ending {card.last4}" if card else ""


def counted(count: int, noun: str) -> str:
    """`1 item`, `2 items`."""
    return f"{count} {noun if count == 1 else f'{noun}s'}"


def spaced(word: str) -> str:
    """`bank_transfer` → `bank transfer`."""
    return word.replace("_", " ")


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def sentences(*parts: str) -> str:
    """Those that say something, each with its full stop."""
    said: Sequence[str] = [part.strip() for part in parts if part.strip()]
    return " ".join(part if part.endswith((".", "!", "?", "…")) else f"{part}." for part in said)
