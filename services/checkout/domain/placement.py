"""An order from the opened checkout page to its placement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from services.checkout.domain import submission
from services.checkout.domain.card_check import AMOUNT, NONE, accepted_by_rule, verification_amount
from services.checkout.domain.change import OrderChange
from services.checkout.domain.kept import keep, keep_no_more
from services.checkout.domain.numbers import looks_like_number, order_number
from services.checkout.domain.order import Order, PaymentOverdue, SubmissionOverdue, orders
from services.checkout.domain.order_records import BillingDetails, Opened
from services.checkout.domain.reminders import remind_from
from services.checkout.domain.sku import Sku, sku_key
from services.checkout.domain.store import ID, Store
from services.checkout.domain.verification import hold_reason, needed_to_hold
from shared.contracts.checkout import OrderCreated, OrderPlaced
from shared.contracts.providers import MANUAL
from shared.contracts.readable import Readable
from shared.contracts.storefront import CheckoutOpened, CheckoutSubmitted, Source
from shared.contracts.values import Customer, OrderStatus
from shared.core import Context, Decision, Problem, Ref, Refused

UNKNOWN_STORE = Refused("unknown_store", "Unknown store.")
BAD_ORDER_ID = Refused(
    "bad_order_id", "The key is not a valid order id: 1 to 64 letters, digits and . _ : @ -, a letter or digit first."
)
LIKE_A_NUMBER = Refused(
    "bad_order_id", "An order id must not begin with ORD-, in upper or lower case: order numbers do."
)


# Opened


@orders.begins(CheckoutOpened, reads=lambda checkout, key, order: [Ref(Store, checkout.store)])
def opened(order: Order | None, checkout: CheckoutOpened, context: Context) -> Decision[Order] | Refused:
    if order is not None:
        return Refused("already_opened", "This checkout is already open.")
    if not ID.fullmatch(context.key):
        return BAD_ORDER_ID
    if looks_like_number(context.key):
        return LIKE_A_NUMBER
    store = context.row(Store, checkout.store)
    if store is None:
        return UNKNOWN_STORE
    problems = submission.opening_problems(checkout, store)
    if problems:
        return submission.invalid(problems)
    change = OrderChange(_new_order(store, checkout, context), context)
    if checkout.email or checkout.items:
        change.set(opened=Opened(checkout.email, checkout.items))
    change.publish(_created(change.state))
    change.timer(context.at + store.abandon_after, SubmissionOverdue())
    keep(change, store)
    return change.decision()


def _new_order(store: Store, checkout: CheckoutOpened | CheckoutSubmitted, context: Context) -> Order:
    return Order(
        number=order_number(context.key, context.candidate),
        store=store.card,
        currency=checkout.currency,
        grace=store.grace,
        created_at=context.at,
        updated_at=context.at,
        country=checkout.country,
        locale=checkout.locale,
        origin=checkout.origin,
    )


def _created(order: Order) -> OrderCreated:
    return OrderCreated(number=order.number, store=order.store.id, currency=order.currency)


# Submitted


def store_and_skus(checkout: CheckoutSubmitted, key: str, order: Order | None) -> Sequence[Ref[Store] | Ref[Sku]]:
    skus = {item.sku for item in checkout.items}
    return [Ref(Store, checkout.store), *(Ref(Sku, sku_key(checkout.store, sku)) for sku in sorted(skus))]


def also_wrong(
    order: Order | None, checkout: CheckoutSubmitted, unread: Sequence[str], context: Context
) -> list[Problem]:
    """What else is wrong with a submission of which not all can be read."""
    readable = Readable(checkout, tuple(unread))
    problems = []
    if refused := _refusal_if_closed(order) or _refusal_of_id(order, context.key):
        problems.append(_as_problem(refused, ""))
    if not readable.has_read("store"):
        return problems
    store = context.row(Store, checkout.store)
    if store is None:
        return [*problems, _as_problem(UNKNOWN_STORE, "store")]
    skus = _skus_of(checkout, context)
    found = submission.readable_problems(checkout, store, skus, readable.has_read)
    return [*problems, *found, *_other_store(order, checkout)]


@orders.begins(CheckoutSubmitted, reads=store_and_skus, asks=needed_to_hold, also_wrong=also_wrong)
def submitted(order: Order | None, checkout: CheckoutSubmitted, context: Context) -> Decision[Order] | Refused:
    """Place the order, or list everything that is wrong with it. `checkout.opened` may have been lost."""
    if refused := _refusal_if_closed(order) or _refusal_of_id(order, context.key):
        return refused
    store = context.row(Store, checkout.store)
    if store is None:
        return UNKNOWN_STORE
    skus = _skus_of(checkout, context)
    problems = [*submission.problems(checkout, store, skus), *_other_store(order, checkout)]
    if problems:
        return submission.invalid(problems)
    change = OrderChange(order or _new_order(store, checkout, context), context)
    if order is None:
        change.publish(_created(change.state))
    _place(change, checkout, store, skus)
    return change.decision()


def _refusal_if_closed(order: Order | None) -> Refused | None:
    if order is None or order.status is OrderStatus.CREATED:
        return None
    if order.placed_at is not None:
        return Refused("already_submitted", "This order is already placed. Check its status instead.")
    return Refused("order_closed", "This checkout is closed. Start a new one.")


def _as_problem(refused: Refused, field: str) -> Problem:
    return Problem(field=field, code=refused.code, text=refused.text)


def _refusal_of_id(order: Order | None, key: str) -> Refused | None:
    if not ID.fullmatch(key):
        return BAD_ORDER_ID
    return LIKE_A_NUMBER if order is None and looks_like_number(key) else None


def _skus_of(checkout: CheckoutSubmitted, context: Context) -> submission.Skus:
    found = {item.sku: context.row(Sku, sku_key(checkout.store, item.sku)) for item in checkout.items}
    return {name: sku for name, sku in found.items() if sku}


def _other_store(order: Order | None, checkout: CheckoutSubmitted) -> Iterator[Problem]:
    if order is not None and order.store.id != checkout.store:
        yield Problem(field="store", code="other_store", text="The checkout was opened in another store.")


def _place(change: OrderChange, checkout: CheckoutSubmitted, store: Store, skus: submission.Skus) -> None:
    opened, until = change.state, change.context.at + store.grace
    waits, held = store.approval != NONE, hold_reason(store, checkout, change.context)
    change.move_to(OrderStatus.RECEIVED if waits else OrderStatus.PENDING_PAYMENT)
    change.set(
        **_rules_of(store, checkout),
        held=held,
        accepted_by_rule=accepted_by_rule(
            store.approval, store.accept_up_to, checkout.currency, checkout.purchased, held
        ),
        currency=checkout.currency,
        customer=checkout.customer,
        lines=submission.lines(checkout, skus),
        subtotal=checkout.subtotal,
        discount=checkout.total - checkout.purchased,
        tax=checkout.tax,
        total=checkout.total,
        purchased=checkout.purchased,
        prices_include_tax=checkout.prices_include_tax,
        discounts=checkout.discounts,
        taxes=checkout.taxes,
        billing=checkout.billing,
        shipping=checkout.shipping,
        country=checkout.country or (checkout.billing.country if checkout.billing else opened.country),
        locale=checkout.locale or opened.locale,
        offer=checkout.offer,
        origin=opened.origin if checkout.origin == Source() else checkout.origin,
        terms_accepted_at=checkout.terms_accepted_at,
        details=BillingDetails(
            checkout.company,
            checkout.vat_number,
            checkout.billing_fields,
            checkout.purchaser_role,
            checkout.terms,
        ),
        opened=None,
        choice=checkout.payment,
        deadline=None if waits else until,
    )
    placed = change.state
    change.publish(_placed(placed, checkout.customer, until))
    change.cancel_timer(SubmissionOverdue)
    keep_no_more(change, store)
    if not waits or placed.verification != NONE:
        change.timer(until, PaymentOverdue())
    if not waits:
        remind_from(change, change.context.at)


def _rules_of(store: Store, checkout: CheckoutSubmitted) -> dict[str, Any]:
    """The store's settings by which the order lives."""
    verification, amount = store.verification if store.approval != NONE else NONE, 0
    if checkout.purchased == 0 or submission.provider_of(checkout.payment, store.payment_providers) == MANUAL:
        verification = NONE
    if verification == AMOUNT:
        amount = verification_amount(store.verification_amount, checkout.currency)
    return {
        "store": store.card,
        "grace": store.grace,
        "payment_providers": store.payment_providers,
        "payment_methods": store.payment_methods,
        "complete_by_hand": store.complete_by_hand,
        "reminders": store.reminders,
        "to_start": bool(store.card.start_by_hand),
        "payment_tries": store.payment_tries,
        "payment_cool_down": store.payment_cool_down,
        "show_partial_refund_as_refunded": store.show_partial_refund_as_refunded,
        "statement_descriptor": store.statement_descriptor,
        "verification": verification,
        "verification_amount": amount,
    }


def _placed(order: Order, customer: Customer, until: datetime) -> OrderPlaced:
    return OrderPlaced(
        number=order.number,
        store=order.store,
        customer=customer,
        items=tuple(line.item for line in order.lines),
        currency=order.currency,
        subtotal=order.subtotal,
        discount=order.discount,
        tax=order.tax,
        total=order.total,
        purchased=order.purchased,
        prices_include_tax=order.prices_include_tax,
        discounts=order.discounts,
        taxes=order.taxes,
        billing=order.billing,
        shipping=order.shipping,
        country=order.country,
        locale=order.locale,
        offer=order.offer,
        held=order.held,
        to_approve=order.status is OrderStatus.RECEIVED or None,
        until=until,
        client_ip=order.origin.client_ip,
    )
