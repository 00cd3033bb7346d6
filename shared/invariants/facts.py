"""What the invariants are asked of: plain evidence, whatever it was read from. Amounts are minor units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.core import NO_WORK, Work


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """One line of an order, as checkout has it."""

    quantity: int
    purchased: int
    refunded: int
    delivery: str


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """An order, as checkout has it."""

    key: str
    number: str
    status: str
    currency: str
    total: int = 0
    purchased: int = 0
    paid: int = 0
    refunded: int = 0
    items: Mapping[str, ItemFacts] = field(default_factory=dict)
    paid_at: datetime | None = None
    deadline: datetime | None = None
    status_record: Mapping[str, Any] = field(default_factory=dict)
    """What its row would publish on the status topic."""
    placed: bool = False
    restored: int = 0
    """What was refunded, and staff count no more."""
    given: bool = False
    """Nothing was to be paid for it after all: what is captured goes back."""


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """A payment, as payments has it."""

    key: str
    currency: str
    authorised: int
    captured: int
    refunded: int
    pending: int = 0
    """Refunds on their way."""
    surplus: int = 0
    """Captured by a second charge: not the order's, and refunded."""
    surplus_refunded: int = 0
    surplus_sent_back: int = 0
    """What is left of it because the bank sent its refund back: staff refund it in another way."""
    surplus_paid_elsewhere: int = 0
    """What was refunded of it in another way: the provider keeps it."""
    sent_back: int = 0
    """What the bank sent back of all that must be refunded, `surplus_sent_back` included."""
    ledger: int = 0
    """The sum of its entries in the accounts that hold money."""
    unbalanced: tuple[str, ...] = ()
    """Ledger transactions whose entries do not sum to zero."""
    unresolved: bool = False


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that moved, as the ledger or the provider has it: positive towards us, negative back."""

    reference: str
    """The provider's id: `pi_…`, `re_…`."""
    amount: int
    currency: str
    order: str = ""
    charge: str = ""
    """Of the provider's refunds: the charge's id."""


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """What fulfillment did for an order."""

    key: str
    stage: str
    items: Mapping[str, int] = field(default_factory=dict)
    """Units that reached the customer, by item."""


@dataclass(frozen=True, slots=True)
class StockFacts:
    """One SKU, and what all orders together hold of it."""

    key: str
    on_hand: int
    reserved: int
    received: int
    held: int = 0
    """Units that orders say are reserved for them."""
    taken: int = 0
    """Units that orders say they took."""
    written_off: int = 0
    """Units of refunded items that were not put back."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """The events of one key from one service. `sequences`: in the order of the topic, as far as it has one."""

    source: str
    key: str
    sequences: Sequence[int]
    counted: int | None
    """How many the service's row says it made; None: there is no such row."""
    waiting: int = 0
    """How many of them are still in the outbox."""
    head_may_be_cut: bool = False
    """Retention explains why the oldest are gone."""
    twice: Sequence[int] = ()
    """Numbers that two events have. The repetitions of one have the same id, and are not meant."""


@dataclass(frozen=True, slots=True)
class Unhandled:
    """A record that its reader never entered into its inbox."""

    reader: str
    type: str
    key: str
    message: str


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule of a service's own that one of its rows breaks."""

    service: str
    key: str
    rule: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the invariants are asked of."""

    at: datetime
    orders: Mapping[str, OrderFacts] = field(default_factory=dict)
    payments: Mapping[str, PaymentFacts] = field(default_factory=dict)
    deliveries: Mapping[str, DeliveryFacts] = field(default_factory=dict)
    stock: Sequence[StockFacts] = ()
    ledger: Sequence[Movement] = ()
    provider: Sequence[Movement] = ()
    totals: Mapping[str, tuple[int, int]] | None = None
    """What the ledger and the provider hold in all, by currency; None: the sums of `ledger` and `provider`."""
    strays: Sequence[Movement] = ()
    """Charges that name an order and that orderbus did not make, as far as they are not refunded."""
    effects: Mapping[str, int] = field(default_factory=dict)
    """How often the provider did something, by what it was asked for: `<order> attempt 1`, `refund <id>`."""
    streams: Sequence[StreamFacts] = ()
    status: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The latest record of each order on the status topic."""
    untold: frozenset[str] = frozenset()
    """Orders whose latest record there is older than what was read."""
    unhandled: Sequence[Unhandled] = ()
    notified: frozenset[str] = frozenset()
    """Orders that notifications knows."""
    broken: Sequence[BrokenRule] = ()
    rows: Sequence[str] = ()
    """Rows whose columns say something else than their data, in words."""
    read_models: Sequence[str] = ()
    """Rows of read models that are not what the latest records show, in words."""
    under_way: Mapping[str, Work] = field(default_factory=dict)
    """Operations and timers that are to come, by key."""
    with_staff: frozenset[str] = frozenset()
    """Orders that staff see in lists of their own."""
    alerted: frozenset[str] = frozenset()
    """Orders of which staff were told that they need attention, and that have not changed since."""
    busy: frozenset[str] = frozenset()
    parked: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The services that wait for staff before they handle more messages of a key."""

    def with_whole(self, *, stock: Sequence[StockFacts], busy: frozenset[str]) -> Evidence:
        """With what can only be known of all keys together: it is the whole system."""
        return replace(self, stock=stock, busy=self.busy | busy, totals=None)

    def awaits(self, key: str, *services: str) -> bool:
        """Whether calls, timers or messages of these services are still to come for the key."""
        return self.moving(key, *services) or self.under_way.get(key, NO_WORK).of(*services)

    def moving(self, key: str, *services: str) -> bool:
        """Whether these services may still agree on the key by themselves, or once its parked messages are handled."""
        return key in self.busy or not self.parked.get(key, frozenset()).isdisjoint(services)
