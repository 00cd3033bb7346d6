"""What must always hold, as pure functions over plain evidence: tests, the simulation and `orderbus check` ask the same
ones. Each answers with every violation in words that name the order, payment, SKU or message.

Evidence is gathered elsewhere (`deploy/check/evidence.py`). Amounts are minor units. `busy` keys had something under
way while it was gathered: what several services must agree on is not asked of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

GONE = frozenset({"cancelled", "expired", "declined"})
"""Orders that must not keep anybody's money."""


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
    broken: tuple[str, ...] = ()
    """Rules of its own that it breaks."""
    stalled: tuple[str, ...] = ()
    """Rules that it breaks if nothing is under way any more."""


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
    """Captured by a second charge: not the order's, given back."""
    surplus_refunded: int = 0
    ledger: int = 0
    """The sum of its entries in the provider's account."""
    unbalanced: tuple[str, ...] = ()
    """Ledger transactions whose entries do not sum to zero."""
    unresolved: bool = False
    broken: tuple[str, ...] = ()
    """Rules of its own that it breaks."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that moved, as the ledger or the provider has it: positive towards us, negative back."""

    reference: str
    """The provider's id: `pi_…`, `re_…`."""
    amount: int
    currency: str
    order: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """What fulfillment did for an order."""

    key: str
    stage: str
    items: Mapping[str, int] = field(default_factory=dict)
    """Units that reached the customer, by item."""
    broken: tuple[str, ...] = ()
    """Rules of its own that it breaks."""


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


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """The events of one key from one service, in the order of the topic."""

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
class Evidence:
    """Everything that the invariants are asked of."""

    at: datetime
    orders: Mapping[str, OrderFacts] = field(default_factory=dict)
    payments: Mapping[str, PaymentFacts] = field(default_factory=dict)
    deliveries: Mapping[str, DeliveryFacts] = field(default_factory=dict)
    stock: Sequence[StockFacts] = ()
    ledger: Sequence[Movement] = ()
    provider: Sequence[Movement] = ()
    effects: Mapping[str, int] = field(default_factory=dict)
    """How often the provider did something, by what it was asked for: `<order> attempt 1`, `refund <id>`."""
    streams: Sequence[StreamFacts] = ()
    status: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The latest record of each order on the status topic."""
    unhandled: Sequence[Unhandled] = ()
    untold: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Mails and webhook deliveries that are absent or not at rest, by order."""
    rows: Sequence[str] = ()
    """Rows whose columns say something else than their data, in words."""
    under_way: frozenset[str] = frozenset()
    """Keys that an operation, a timer or a person works on."""
    alerted: frozenset[str] = frozenset()
    """Orders of which staff were told that they need attention."""
    busy: frozenset[str] = frozenset()
    unresolved: Sequence[str] = ()
    """Operations of unknown outcome, parked messages: listed, never assumed."""


def ledger_matches_provider(evidence: Evidence) -> Iterator[str]:
    """1. Captured − refunded in the ledger is the provider's balance, per currency."""
    ours, theirs = _by_reference(evidence.ledger), _by_reference(evidence.provider)
    for reference in sorted({*ours, *theirs}):
        mine, other = ours.get(reference), theirs.get(reference)
        order = (mine or other or Movement("", 0, "")).order
        if order in evidence.busy or _amount(mine) == _amount(other):
            continue
        yield f"order {order or 'unknown'}: the provider has {_words(other)} as {reference}, the ledger {_words(mine)}"
    balances = _balance(evidence.ledger, evidence.busy), _balance(evidence.provider, evidence.busy)
    for currency in sorted({*balances[0], *balances[1]}):
        if balances[0][currency] != balances[1][currency]:
            yield f"{currency}: the ledger holds {balances[0][currency]}, the provider {balances[1][currency]}"
    for payment in evidence.payments.values():
        if payment.captured - payment.refunded != payment.ledger:
            held = payment.captured - payment.refunded
            yield f"payment {payment.key} holds {held} {payment.currency}, its ledger entries {payment.ledger}"
        yield from (f"payment {payment.key}: ledger transaction {t} is not zero" for t in payment.unbalanced)


def refunds_within_captures(evidence: Evidence) -> Iterator[str]:
    """2. Refunded ≤ captured ≤ authorised, per payment; and checkout counts the same money."""
    for payment in evidence.payments.values():
        if not 0 <= payment.refunded + payment.pending <= payment.captured <= payment.authorised:
            yield (
                f"payment {payment.key}: {payment.refunded} refunded and {payment.pending} on the way of "
                f"{payment.captured} captured of {payment.authorised} authorised"
            )
        yield from (f"payment {payment.key} breaks: {rule}" for rule in payment.broken)
    for order in evidence.orders.values():
        if not 0 <= order.refunded <= order.paid <= order.purchased <= order.total:
            yield (
                f"order {order.number}: {order.refunded} refunded of {order.paid} paid of {order.purchased} "
                f"purchased of {order.total} in all"
            )
        yield from (f"order {order.number} breaks: {rule}" for rule in order.broken)
        if order.key not in evidence.busy:
            yield from _counted_alike(order, evidence.payments.get(order.key))


def _counted_alike(order: OrderFacts, payment: PaymentFacts | None) -> Iterator[str]:
    captured = payment.captured - payment.surplus if payment else 0
    refunded = payment.refunded - payment.surplus_refunded if payment else 0
    if order.status in GONE:
        if payment and payment.captured - payment.refunded - payment.pending > 0 and not payment.unresolved:
            yield f"order {order.number} is {order.status}, but {captured - refunded} {order.currency} are kept"
        return
    if order.paid != captured:
        yield f"order {order.number} counts {order.paid} {order.currency} as paid, payments captured {captured}"
    if order.refunded != refunded:
        yield f"order {order.number} counts {order.refunded} {order.currency} as refunded, payments refunded {refunded}"
    parts = sum(item.purchased for item in order.items.values())
    if order.items and parts != order.purchased:
        yield f"order {order.number}: its items' parts are {parts}, not the {order.purchased} purchased"


def one_effect_per_key(evidence: Evidence) -> Iterator[str]:
    """3. One effect at the provider per idempotency key; no order is charged twice and keeps both."""
    yield from (f"{what} was carried out {times} times" for what, times in evidence.effects.items() if times > 1)
    charges: dict[str, list[int]] = {}
    kept: Counter[str] = Counter()
    for movement in evidence.provider:
        kept[movement.order] += movement.amount
        if movement.amount > 0:
            charges.setdefault(movement.order, []).append(movement.amount)
    for order, amounts in charges.items():
        if order and order not in evidence.busy and len(amounts) > 1 and kept[order] > max(amounts):
            yield f"order {order} was charged {len(amounts)} times at the provider, {kept[order]} are kept"


def every_event_published(evidence: Evidence) -> Iterator[str]:
    """4. Every committed change has its events, every event reached Kafka, `sequence` has no gap."""
    for stream in evidence.streams:
        yield from _complete(stream, stream.key in evidence.busy)


def _complete(stream: StreamFacts, busy: bool) -> Iterator[str]:
    """Repetitions are harmless (the relay died between acknowledgement and deletion); gaps and swaps are not."""
    who = f"{stream.source}'s events of {stream.key}"
    seen = list(dict.fromkeys(stream.sequences))
    if seen != sorted(seen):
        yield f"{who} are out of order: {_some(seen)}"
    if stream.twice:
        yield f"{who}: {_some(stream.twice)} given to two of them"
    if stream.counted is None:
        yield f"{who} are on the topic, but there is no row that made them"
        return
    beyond = [sequence for sequence in seen if sequence > stream.counted]
    if beyond and not busy:
        yield f"{who}: {_some(beyond)} on the topic, but the row made only {stream.counted}"
    first = min(seen, default=stream.counted + 1) if stream.head_may_be_cut else 1
    last = max(seen, default=0) if busy else stream.counted - stream.waiting
    missing = sorted(set(range(first, last + 1)) - set(seen))
    if missing:
        yield f"{who}: {_some(missing)} of {stream.counted} missing on the topic"


def stock_in_balance(evidence: Evidence) -> Iterator[str]:
    """5. 0 ≤ reserved ≤ on hand, per SKU; what orders hold is what the stock says."""
    for stock in evidence.stock:
        if not 0 <= stock.reserved <= stock.on_hand <= stock.received:
            yield f"stock {stock.key}: {stock.reserved} reserved, {stock.on_hand} on hand, {stock.received} received"
        if stock.key in evidence.busy:
            continue
        if stock.reserved != stock.held:
            yield f"stock {stock.key}: {stock.reserved} units are reserved, orders hold {stock.held}"
        if stock.on_hand + stock.taken != stock.received:
            yield f"stock {stock.key}: {stock.on_hand} on hand and {stock.taken} taken of {stock.received} received"


def delivery_within_payment(evidence: Evidence) -> Iterator[str]:
    """6. Shipped ≤ paid ≤ ordered."""
    for delivery in evidence.deliveries.values():
        yield from (f"delivery {delivery.key} breaks: {rule}" for rule in delivery.broken)
        order = evidence.orders.get(delivery.key)
        if order is None:
            if delivery.key not in evidence.busy:
                yield f"delivery {delivery.key} belongs to no order"
            continue
        for item, units in delivery.items.items():
            ordered = order.items[item].quantity if item in order.items else 0
            if units > ordered:
                yield f"order {order.number}: {units} units of item {item} were delivered, {ordered} ordered"
            if units and order.purchased and not order.paid and order.key not in evidence.busy:
                yield f"order {order.number}: item {item} was delivered, but nothing was paid"
    for order in evidence.orders.values():
        if order.status == "completed" and order.purchased and order.paid < order.purchased:
            yield f"order {order.number} is completed, but {order.paid} of {order.purchased} are paid"


def everybody_told(evidence: Evidence) -> Iterator[str]:
    """7. Every webhook endpoint × matching event ends delivered, exhausted or paused, never absent; same for mails."""
    for key, problems in evidence.untold.items():
        if key not in evidence.busy:
            yield from (f"order {_number(evidence, key)}: {problem}" for problem in problems)


def replay_changes_nothing(evidence: Evidence) -> Iterator[str]:
    """8. Replaying everything changes nothing (it is all in the inboxes); the log tells the same as the tables."""
    for lost in evidence.unhandled:
        if lost.key not in evidence.busy:
            yield f"{lost.reader} never handled {lost.type} {lost.message} of {lost.key}"
    for order in evidence.orders.values():
        if order.key in evidence.busy or not order.status_record:
            continue
        told = evidence.status.get(order.key)
        if told is None:
            yield f"order {order.number} has no record on the status topic"
        else:
            names = sorted(n for n in {*told, *order.status_record} if told.get(n) != order.status_record.get(n))
            yield from (f"order {order.number}: {n} differs between its row and the status topic" for n in names)
    for key in evidence.status:
        if key not in evidence.orders and key not in evidence.busy:
            yield f"order {key} is on the status topic, but has no row"


def nobody_waits_unseen(evidence: Evidence, timeout: timedelta = timedelta(hours=1)) -> Iterator[str]:
    """9. No order stays paid and unfinished past its deadline without an alert: something or somebody is at it."""
    for order in evidence.orders.values():
        if order.key in evidence.busy or order.key in evidence.under_way:
            continue
        yield from (f"order {order.number}, though nothing is under way, breaks: {rule}" for rule in order.stalled)
        if order.key in evidence.alerted:
            continue
        if order.status == "processing":
            yield f"order {order.number} is paid and unfinished, and neither anything is under way nor anybody told"
        elif order.status == "pending_payment" and order.deadline and order.deadline + timeout < evidence.at:
            yield f"order {order.number} waits for a payment that was due at {order.deadline:%Y-%m-%d %H:%M} UTC"


def rows_agree(evidence: Evidence) -> Iterator[str]:
    """Beside the nine: what a row says in columns is what it says in its data."""
    yield from evidence.rows


INVARIANTS: Mapping[str, Callable[[Evidence], Iterable[str]]] = {
    function.__name__: function
    for function in (
        ledger_matches_provider,
        refunds_within_captures,
        one_effect_per_key,
        every_event_published,
        stock_in_balance,
        delivery_within_payment,
        everybody_told,
        replay_changes_nothing,
        nobody_waits_unseen,
        rows_agree,
    )
}


def violations(evidence: Evidence) -> dict[str, list[str]]:
    """Every invariant by name, with its violations; an empty list where it holds."""
    return {name: list(function(evidence)) for name, function in INVARIANTS.items()}


def _by_reference(movements: Iterable[Movement]) -> dict[str, Movement]:
    """Movements of one reference are summed: a refund that came back is no movement any more."""
    found: dict[str, Movement] = {}
    for movement in movements:
        known = found.get(movement.reference)
        amount = movement.amount + (known.amount if known else 0)
        order = movement.order or (known.order if known else "")
        found[movement.reference] = Movement(movement.reference, amount, movement.currency, order)
    return found


def _amount(movement: Movement | None) -> tuple[int, str]:
    return (movement.amount, movement.currency) if movement and movement.amount else (0, "")


def _words(movement: Movement | None) -> str:
    return f"{movement.amount} {movement.currency}" if movement else "nothing"


def _balance(movements: Iterable[Movement], busy: frozenset[str]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for movement in movements:
        if movement.order not in busy:
            sums[movement.currency] += movement.amount
    return sums


def _number(evidence: Evidence, key: str) -> str:
    order = evidence.orders.get(key)
    return order.number if order else key


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (" …" if len(numbers) > 8 else "")
