"""What customers put into their baskets: checkouts whose sums are right to the last unit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from deploy.demo.catalogue import Catalogue
from shared.contracts.storefront import CheckoutSubmitted, PaymentChoice, Source, SubmittedItem
from shared.contracts.values import Address, Customer, Discount, TaxLine

COUNTRIES = {
    # country: currency, VAT in per cent, city
    "DE": ("EUR", 19, "Hamburg"),
    "FR": ("EUR", 20, "Brest"),
    "US": ("USD", 0, "Portland"),
    "JP": ("JPY", 10, "Yokohama"),
}


def person(name: str, mark: str) -> Customer:
    """A customer whose address no other run uses: `mark` goes into it."""
    email = f"{name.lower().replace(' ', '.')}.{mark}@customers.example"
    return Customer(name=name, email=email, id=f"c-{mark}", signed_in=True)


def checkout(
    catalogue: Catalogue,
    store: str,
    customer: Customer,
    skus: Iterable[tuple[str, int]],
    *,
    card: str = "pm_card_visa",
    country: str = "DE",
    discount: int = 0,
) -> CheckoutSubmitted:
    """A checkout of (SKU, quantity), paid with a payment method of Stripe's test cards."""
    currency, rate, city = COUNTRIES[country]
    lines = [(catalogue.products[sku], quantity) for sku, quantity in skus]
    items = tuple(
        SubmittedItem(sku=product.sku, quantity=quantity, unit_price=product.prices[currency])
        for product, quantity in lines
    )
    subtotal = sum(item.quantity * item.unit_price for item in items)
    tax = subtotal * rate // 100
    address = Address(name=customer.name, line1="1 Harbour Road", city=city, country=country, postal_code="12345")
    return CheckoutSubmitted(
        store=store,
        customer=customer,
        items=items,
        currency=currency,
        subtotal=subtotal,
        tax=tax,
        total=subtotal + tax,
        purchased=subtotal + tax - discount,
        payment=PaymentChoice(payment_method=card),
        discounts=(Discount(code="KEEPER", amount=discount),) if discount else (),
        taxes=(TaxLine(rate=str(rate), country=country, amount=tax),) if tax else (),
        billing=address,
        shipping=address if any(product.shippable for product, _ in lines) else None,
        country=country,
        locale="en",
        origin=Source(source="demo", tags=("demo",)),
        terms_accepted_at=datetime.now(UTC),
    )
