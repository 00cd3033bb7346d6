"""Checkouts whose sums are right, unless a test says otherwise, and the lines that they become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.checkout.domain.sku import Sku
from services.checkout.domain.submission import lines
from services.checkout.domain.sums import problems
from shared.contracts.storefront import CheckoutSubmitted, DeliveryCharge, SubmittedItem
from shared.contracts.values import Discount, OrderItem, TaxLine
from tests.unit.checkout.examples import submission


def item(sku: str, unit_price: int = 1000, quantity: int = 1, **own: Any) -> SubmittedItem:
    return SubmittedItem(sku=sku, quantity=quantity, unit_price=unit_price, **own)


def basket(
    *items: SubmittedItem,
    taxes: Sequence[TaxLine] = (),
    deliveries: Sequence[DeliveryCharge] = (),
    discount: int = 0,
    included: bool = False,
    currency: str = "USD",
    **wrong: Any,
) -> CheckoutSubmitted:
    """Sums that are right, unless `wrong` has others."""
    subtotal = sum(it.quantity * it.unit_price for it in items) + sum(charge.amount for charge in deliveries)
    tax = sum(line.amount for line in taxes)
    total = subtotal if included else subtotal + tax
    message = submission("course")
    right = {
        "currency": currency,
        "items": items,
        "deliveries": tuple(deliveries),
        "taxes": tuple(taxes),
        "discounts": (Discount(code="SPRING", amount=discount),) if discount else (),
        "prices_include_tax": included,
        **{"subtotal": subtotal, "tax": tax, "total": total, "purchased": total - discount},
    }
    return message.model_copy(update=right | wrong)


def placed(message: CheckoutSubmitted) -> list[OrderItem]:
    """The lines of the order, once it is placed without a problem."""
    assert list(problems(message)) == []
    skus = {it.sku: Sku("northwind", it.sku, it.sku.title(), {message.currency: it.unit_price}) for it in message.items}
    return [line.item for line in lines(message, skus)]


def wrong(message: CheckoutSubmitted) -> dict[str, str]:
    return {problem.field: problem.text for problem in problems(message)}
