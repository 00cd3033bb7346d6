"""The store's rules by which an order is held for verification when it is placed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.checkout.domain.order import Order
from services.checkout.domain.store import Store
from services.checkout.domain.timeline import money
from shared.contracts.storefront import CheckoutSubmitted
from shared.contracts.text import domain_name
from shared.contracts.values import Customer, OrderStatus, PaymentStatus
from shared.core import Context, Question, Ref

BOUGHT = (OrderStatus.PROCESSING, OrderStatus.COMPLETED, OrderStatus.FAILED)
"""Of an order that makes its customer known, if it is paid."""
PAID = (PaymentStatus.PAID, PaymentStatus.PARTIALLY_REFUNDED)


class BoughtBefore(Question):
    """Whether a customer has bought in a store before: one of their orders is paid, not wholly refunded, and not held
    (any more). Two first orders do not vouch for each other."""

    store: str
    email: str
    """In lower case."""
    customer: str
    """The storefront's id of a customer who is signed in; else empty."""


def bought_before(store: str, customer: Customer) -> BoughtBefore:
    signed_in = customer.id if customer.signed_in else None
    return BoughtBefore(store, customer.email.lower(), signed_in or "")


def needed_to_hold(
    checkout: CheckoutSubmitted, key: str, order: Order | None, rows: Mapping[Ref[Any], Any]
) -> Iterator[BoughtBefore]:
    """What must be known of other orders. Nothing, where the store has no rule about them."""
    store: Store | None = rows[Ref(Store, checkout.store)]
    if store is not None and store.hold_first_order and (order is None or order.status is OrderStatus.CREATED):
        yield bought_before(checkout.store, checkout.customer)


def hold_reason(store: Store, checkout: CheckoutSubmitted, context: Context) -> str | None:
    """For staff; None: no rule holds it. Names no address."""
    return "; ".join(_reasons(store, checkout, context)) or None


def _reasons(store: Store, checkout: CheckoutSubmitted, context: Context) -> Iterator[str]:
    if store.hold_first_order and not context.answer(bought_before(checkout.store, checkout.customer)):
        yield "the customer has not bought here before"
    most = (store.hold_total_above or {}).get(checkout.currency)
    if most is not None and checkout.purchased > most:
        yield f"{money(checkout.purchased, checkout.currency)} is above {money(most, checkout.currency)}"
    billed = checkout.billing.country if checkout.billing else checkout.country
    shipped = checkout.shipping.country if checkout.shipping else None
    if store.hold_other_country and billed and shipped and billed != shipped:
        yield f"billed in {billed}, shipped to {shipped}"
    own = domain_name(checkout.customer.email.rpartition("@")[2])
    above = (domain for domain in store.hold_email_domains if f".{own}".endswith(f".{domain_name(domain)}"))
    if domain := next(above, None):
        yield f"an email address at {domain}"
