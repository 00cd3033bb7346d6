"""What must always hold, as pure functions over plain evidence: tests, the simulation and `orderbus check` ask the same
ones. Each yields every violation in words that name the order, payment, SKU or message.

The rules for rows of one service stand in its `domain/invariants.py`. `busy` keys had something in progress while the
evidence was gathered: what several services must agree on is not asked of them. Where messages of a key are parked in
one service, only what that service has yet to do is not asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from shared.contracts.values import VOID, OrderStatus
from shared.core.epochs import SPAN, epoch_of
from shared.invariants.facts import Evidence, Movement, OrderFacts, PaymentFacts, StreamFacts


def ledger_matches_provider(evidence: Evidence) -> Iterator[str]:
    """1. Captured − refunded in the ledger is the provider's balance, per currency."""
    ours, theirs = _by_reference(evidence.ledger), _by_reference(evidence.provider)
    for reference in sorted({*ours, *theirs}):
        mine, other = ours.get(reference), theirs.get(reference)
        order = (mine or other or Movement("", 0, "")).order
        if evidence.moving(order, "payments") or _amount(mine) == _amount(other):
            continue
        yield f"order {order or 'unknown'}: the provider has {_words(other)} as {reference}, the ledger {_words(mine)}"
    for stray in evidence.strays:
        who = f"order {stray.order}: {_words(stray)} as {stray.reference} were not charged by orderbus"
        yield f"{who}: a stray charge, see the provider's dashboard"
    for currency, (held, has) in sorted(_totals(evidence).items()):
        if held != has:
            yield f"{currency}: the ledger holds {held}, the provider {has}"
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
    for order in evidence.orders.values():
        if not 0 <= order.refunded <= order.paid <= order.purchased <= order.total:
            yield (
                f"order {order.number}: {order.refunded} refunded of {order.paid} paid of {order.purchased} "
                f"purchased of {order.total} in all"
            )
        if not evidence.moving(order.key, "checkout", "payments"):
            yield from _counted_alike(order, evidence.payments.get(order.key))


def _counted_alike(order: OrderFacts, payment: PaymentFacts | None) -> Iterator[str]:
    captured = payment.captured - payment.surplus if payment else 0
    refunded = payment.refunded - payment.surplus_refunded if payment else 0
    if order.status in VOID or order.given:
        if payment and _kept_unseen(payment) > 0 and not payment.unresolved:
            what = "given" if order.given else order.status
            yield f"order {order.number} is {what}, but {captured - refunded} {order.currency} are kept"
        return
    if order.paid != captured:
        yield f"order {order.number} counts {order.paid} {order.currency} as paid, payments captured {captured}"
    counted = order.refunded + order.restored
    if counted != refunded:
        yield f"order {order.number} counts {counted} {order.currency} as refunded, payments refunded {refunded}"
    parts = sum(item.purchased for item in order.items.values())
    if order.items and parts != order.purchased:
        yield f"order {order.number}: its items' parts are {parts}, not the {order.purchased} purchased"


def _kept_unseen(payment: PaymentFacts) -> int:
    """What is kept of a payment of which all must be refunded, without what staff know that the bank sent back."""
    return payment.captured - payment.refunded - payment.pending - payment.sent_back


def one_effect_per_key(evidence: Evidence) -> Iterator[str]:
    """3. One effect at the provider per idempotency key; no order is charged twice and keeps both, but for a surplus
    whose refund the bank sent back, or that was refunded in another way."""
    yield from (f"{what} was carried out {times} times" for what, times in evidence.effects.items() if times > 1)
    charges: dict[str, list[int]] = {}
    kept: Counter[str] = Counter()
    for movement in evidence.provider:
        kept[movement.order] += movement.amount
        if movement.amount > 0:
            charges.setdefault(movement.order, []).append(movement.amount)
    for order, amounts in charges.items():
        payment = evidence.payments.get(order)
        known = payment.surplus_sent_back + payment.surplus_paid_elsewhere if payment else 0
        twice = len(amounts) > 1 and kept[order] > max(amounts) + known
        if order and twice and not evidence.moving(order, "payments"):
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
        yield f"{who} are on the topic, but no row has published them"
        return
    beyond = [sequence for sequence in seen if sequence > stream.counted]
    if beyond and not busy:
        yield f"{who}: {_some(beyond)} on the topic, but the row has published only {stream.counted}"
    if lost := [number for epoch in _epochs(stream, seen) for number in _lost(stream, seen, epoch, busy=busy)]:
        yield f"{who}: {_some(lost)} of {stream.counted} missing on the topic"


def _epochs(stream: StreamFacts, seen: Sequence[int]) -> Sequence[int]:
    """Those in which the row published something, as far as is known."""
    assert stream.counted is not None
    return sorted({*map(epoch_of, seen), epoch_of(stream.counted)})


def _lost(stream: StreamFacts, seen: Sequence[int], epoch: int, *, busy: bool) -> Iterable[int]:
    """Within an epoch the numbers begin at 1 and have no gaps. How far an earlier one went, only the topic knows."""
    assert stream.counted is not None
    numbers = {number for number in seen if epoch_of(number) == epoch}
    before = epoch * SPAN
    first = min(numbers, default=stream.counted + 1) if stream.head_may_be_cut else before + 1
    last = max(numbers, default=before)
    if epoch == epoch_of(stream.counted) and not busy:
        last = max(stream.counted - stream.waiting, before)
    return sorted(set(range(first, last + 1)) - numbers)


def stock_in_balance(evidence: Evidence) -> Iterator[str]:
    """5. 0 ≤ reserved ≤ on hand, per SKU; what orders hold is what the stock says."""
    for stock in evidence.stock:
        if not 0 <= stock.reserved <= stock.on_hand <= stock.received:
            yield f"stock {stock.key}: {stock.reserved} reserved, {stock.on_hand} on hand, {stock.received} received"
        if stock.key in evidence.busy:
            continue
        if stock.reserved != stock.held:
            yield f"stock {stock.key}: {stock.reserved} units are reserved, orders hold {stock.held}"
        if stock.on_hand + stock.taken + stock.written_off != stock.received:
            gone = f"{stock.taken} taken" + (f", {stock.written_off} written off" if stock.written_off else "")
            yield f"stock {stock.key}: {stock.on_hand} on hand and {gone} of {stock.received} received"


def delivery_within_payment(evidence: Evidence) -> Iterator[str]:
    """6. Shipped ≤ paid ≤ ordered."""
    for delivery in evidence.deliveries.values():
        order = evidence.orders.get(delivery.key)
        if order is None:
            if not evidence.moving(delivery.key, "checkout"):
                yield f"delivery {delivery.key} belongs to no order"
            continue
        for item, units in delivery.items.items():
            ordered = order.items[item].quantity if item in order.items else 0
            if units > ordered:
                yield f"order {order.number}: {units} units of item {item} were delivered, {ordered} ordered"
            if (
                units
                and order.purchased
                and not order.paid
                and not order.given
                and not evidence.moving(order.key, "checkout")
            ):
                yield f"order {order.number}: item {item} was delivered, but nothing was paid"
    for order in evidence.orders.values():
        if order.status == OrderStatus.COMPLETED and order.paid < order.purchased and not order.given:
            yield f"order {order.number} is completed, but {order.paid} of {order.purchased} are paid"


def everybody_told(evidence: Evidence) -> Iterator[str]:
    """7. Notifications knows every placed order. Its own rules say which mails and webhooks each must have."""
    for order in evidence.orders.values():
        if order.placed and order.key not in evidence.notified and not evidence.moving(order.key, "notifications"):
            yield f"order {order.number}: notifications does not know it"


def replay_changes_nothing(evidence: Evidence) -> Iterator[str]:
    """8. Replaying everything changes nothing (it is all in the inboxes); the log tells the same as the tables."""
    for lost in evidence.unhandled:
        if lost.key not in evidence.busy:
            yield f"{lost.reader} never handled {lost.type} {lost.message} of {lost.key}"
    for order in evidence.orders.values():
        if order.key in evidence.busy or not order.status_record:
            continue
        told = evidence.status.get(order.key)
        if told is None and order.key in evidence.untold:
            continue
        if told is None:
            yield f"order {order.number} has no record on the status topic"
        else:
            names = sorted(n for n in {*told, *order.status_record} if told.get(n) != order.status_record.get(n))
            yield from (f"order {order.number}: {n} differs between its row and the status topic" for n in names)
    for key in evidence.status:
        if key not in evidence.orders and key not in evidence.busy:
            yield f"order {key} is on the status topic, but has no row"


TO_PAY = (OrderStatus.PENDING_PAYMENT, OrderStatus.FAILED)
"""With a deadline, if it is not paid."""


def no_order_waits_unseen(evidence: Evidence, timeout: timedelta = timedelta(hours=1)) -> Iterator[str]:
    """9. No order stays begun, or paid and unfinished, past its end unless something is in progress or staff were
    told."""
    for order in evidence.orders.values():
        if order.key in evidence.alerted or order.key in evidence.with_staff:
            continue
        if order.status == OrderStatus.PROCESSING:
            if evidence.awaits(order.key, "payments", "fulfillment") or evidence.moving(order.key, "checkout"):
                continue
            yield f"order {order.number} is paid and unfinished, but no work is in progress and staff were not notified"
        elif order.status in TO_PAY and order.deadline and order.deadline + timeout < evidence.at:
            if evidence.awaits(order.key, "checkout"):
                continue
            yield f"order {order.number} waits for a payment that was due at {order.deadline:%Y-%m-%d %H:%M} UTC"
        elif order.status == OrderStatus.CREATED and not evidence.awaits(order.key, "checkout"):
            yield f"order {order.number} was begun, but no timer ends it should the customer never submit it"


def rows_agree(evidence: Evidence) -> Iterator[str]:
    """What a row says in columns is what it says in its data."""
    yield from evidence.rows


def read_models_as_told(evidence: Evidence) -> Iterator[str]:
    """What staff see of orders is what the status topics tell of them."""
    yield from evidence.read_models


def rows_keep_their_rules(evidence: Evidence) -> Iterator[str]:
    """The rules of each service for its own rows hold."""
    for broken in evidence.broken:
        yield f"{broken.service}, {_name(evidence, broken.key)} breaks: {broken.rule}"


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
        no_order_waits_unseen,
        rows_agree,
        read_models_as_told,
        rows_keep_their_rules,
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


def _totals(evidence: Evidence) -> Mapping[str, tuple[int, int]]:
    if evidence.totals is not None:
        return evidence.totals
    ours, theirs = _balance(evidence, evidence.ledger), _balance(evidence, evidence.provider)
    return {currency: (ours[currency], theirs[currency]) for currency in {*ours, *theirs}}


def _balance(evidence: Evidence, movements: Iterable[Movement]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for movement in movements:
        if not evidence.moving(movement.order, "payments"):
            sums[movement.currency] += movement.amount
    return sums


def _name(evidence: Evidence, key: str) -> str:
    order = evidence.orders.get(key)
    return f"order {order.number}" if order and order.number else key


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (" …" if len(numbers) > 8 else "")
