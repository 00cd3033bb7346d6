"""What the customer does on the checkout page: open it, buy, pay again, give up."""

from __future__ import annotations

from collections.abc import Iterable

from services.checkout.domain import submission
from services.checkout.domain.closing import close, refused_close
from services.checkout.domain.decisions import AbandonOver, Answer, GraceOver, changed, on_command, orders
from services.checkout.domain.numbers import order_number
from services.checkout.domain.order import UNPAID, Charge, Order, moved
from services.checkout.domain.paying import request_payment
from services.checkout.domain.sku import Sku, sku_key
from services.checkout.domain.store import ID, Store
from services.checkout.domain.timeline import Note, money
from shared.contracts.checkout import OrderCreated, OrderPlaced
from shared.contracts.envelope import encode
from shared.contracts.storefront import (
    CheckoutAbandoned,
    CheckoutOpened,
    CheckoutPaymentRetried,
    CheckoutSubmitted,
    Source,
)
from shared.contracts.values import OrderStatus
from shared.core import Command, Context, Problem, Ref, Refused, Timer
from shared.core.fast_dataclasses import replace

UNKNOWN_STORE = Refused("unknown_store", "There is no such store.")
BAD_ORDER_ID = Refused("bad_order_id", "The key is not an order id: 1 to 64 of letters, digits and . _ : @ -")


# Opened


def store_of(message: CheckoutOpened, key: str) -> Iterable[Ref[Store]]:
    return [Ref(Store, message.store)]


@orders.on_old(CheckoutOpened, reads=store_of)
def opened(order: Order | None, message: CheckoutOpened, context: Context) -> Answer:
    if order is not None:
        return Refused("already_opened", "This checkout is open already.")
    if not ID.fullmatch(context.key):
        return BAD_ORDER_ID
    store = context.row(Store, message.store)
    if store is None:
        return UNKNOWN_STORE
    if message.currency not in store.currencies:
        return _invalid([Problem(field="currency", code="currency_not_offered", text="The store does not sell in it.")])
    if len(encode(message)) > submission.LARGEST_CHECKOUT:
        return _invalid([Problem(field="", code="too_large", text="The checkout is too large.")])
    order = replace(
        _new(store, message.currency, context), country=message.country, locale=message.locale, origin=message.origin
    )
    notes = [Note("order.created", "A checkout page was opened.", {"store": store.card.id, "number": order.number})]
    timer = Timer(context.at + store.abandon_after, AbandonOver())
    return changed(order, context, notes, [_created(order)], [timer])


def _new(store: Store, currency: str, context: Context) -> Order:
    return Order(
        number=order_number(context.key),
        store=store.card,
        currency=currency,
        grace=store.grace,
        created_at=context.at,
        updated_at=context.at,
    )


def _created(order: Order) -> OrderCreated:
    return OrderCreated(number=order.number, store=order.store.id, currency=order.currency)


# Submitted


def rows_of(message: CheckoutSubmitted, key: str) -> Iterable[Ref[Store] | Ref[Sku]]:
    skus = {item.sku for item in message.items}
    return [Ref(Store, message.store), *(Ref(Sku, sku_key(message.store, sku)) for sku in sorted(skus))]


@orders.on_old(CheckoutSubmitted, reads=rows_of)
def submitted(order: Order | None, message: CheckoutSubmitted, context: Context) -> Answer:
    """Place the order, or say everything that is wrong with it. The page may never have said that it was opened."""
    refused = _not_open(order)
    if refused:
        return refused
    if not ID.fullmatch(context.key):
        return BAD_ORDER_ID
    store = context.row(Store, message.store)
    if store is None:
        return UNKNOWN_STORE
    skus = {item.sku: context.row(Sku, sku_key(message.store, item.sku)) for item in message.items}
    problems = submission.problems(message, store, skus)
    if order is not None and order.store.id != message.store:
        problems.append(Problem(field="store", code="other_store", text="It was opened in another store."))
    if problems:
        return _invalid(problems)
    first = [] if order else [_created(_new(store, message.currency, context))]
    placed = _placed(order or _new(store, message.currency, context), message, store, skus, context)
    text = f"Placed: {len(placed.lines)} items, {money(placed.purchased, placed.currency)}. Its stock is wanted."
    detail = {"number": placed.number, "total": placed.total, "purchased": placed.purchased, "until": placed.deadline}
    events = [*first, _order_placed(placed)]
    timers = [Timer(context.at + store.grace, GraceOver())]
    notes = [Note("order.placed", text, detail | {"client_ip": placed.origin.client_ip})]
    return changed(placed, context, notes, events, timers, cancel=[AbandonOver])


def _not_open(order: Order | None) -> Refused | None:
    if order is None or order.status is OrderStatus.CREATED:
        return None
    if order.placed_at is not None:
        return Refused("already_submitted", "This order is placed already; ask for its status instead.")
    return Refused("order_closed", "This checkout is closed; begin a new one.")


def _invalid(problems: list[Problem]) -> Refused:
    listed = "; ".join(f"{problem.field}: {problem.text}" if problem.field else problem.text for problem in problems)
    return Refused("invalid_submission", f"The checkout is not right. {listed}"[:2000], problems)


def _placed(order: Order, message: CheckoutSubmitted, store: Store, skus: submission.Skus, context: Context) -> Order:
    placed = moved(order, OrderStatus.PENDING_PAYMENT, context.at)
    return replace(
        placed,
        store=store.card,
        grace=store.grace,
        statement_descriptor=store.statement_descriptor,
        currency=message.currency,
        customer=message.customer,
        lines=submission.lines(message, skus),
        subtotal=message.subtotal,
        discount=message.total - message.purchased,
        tax=message.tax,
        total=message.total,
        purchased=message.purchased,
        discounts=message.discounts,
        taxes=message.taxes,
        billing=message.billing,
        shipping=message.shipping,
        country=message.country or order.country,
        locale=message.locale or order.locale,
        offer=message.offer,
        origin=order.origin if message.origin == Source() else message.origin,
        terms_accepted_at=message.terms_accepted_at,
        choice=message.payment,
        deadline=context.at + store.grace,
    )


def _order_placed(order: Order) -> OrderPlaced:
    assert order.customer is not None
    return OrderPlaced(
        number=order.number,
        store=order.store,
        customer=order.customer,
        items=tuple(line.item for line in order.lines),
        currency=order.currency,
        subtotal=order.subtotal,
        discount=order.discount,
        tax=order.tax,
        total=order.total,
        purchased=order.purchased,
        discounts=order.discounts,
        taxes=order.taxes,
        billing=order.billing,
        shipping=order.shipping,
        country=order.country,
        locale=order.locale,
    )


# Paying again, giving up


@on_command(CheckoutPaymentRetried)
def retried(order: Order, message: CheckoutPaymentRetried, context: Context) -> Answer:
    if order.status is not OrderStatus.PENDING_PAYMENT:
        return Refused("not_payable", f"The order is {order.status}; there is nothing to pay.")
    if not order.reserved:
        return Refused("not_reserved", "The order's stock is not set aside yet; try again in a moment.")
    if order.charge in (Charge.UNDER_WAY, Charge.UNRESOLVED):
        return Refused("payment_under_way", "A payment is under way; wait for its result.")
    problems = list(submission.payment_problems(message.payment, required=True))
    if problems:
        return _invalid(problems)
    after, event = request_payment(replace(order, choice=message.payment), context)
    note = Note(message.type, f"The customer pays again: attempt {after.attempts}.", {"attempt": after.attempts})
    return changed(after, context, [note], [event])


@on_command(CheckoutAbandoned)
def abandoned(order: Order, message: CheckoutAbandoned, context: Context) -> Answer:
    if order.status not in UNPAID:
        return refused_close(order)
    return close(order, context, _given_up(message), reason=message.reason)


def _given_up(message: Command) -> Note:
    return Note(message.type, "The customer gave the order up.")
