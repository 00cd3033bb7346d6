"""What customers put into their baskets: checkouts whose sums are right to the last unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple, TypedDict
from zlib import crc32

from deploy.demo.catalogue import Catalogue
from shared.contracts.storefront import CheckoutSubmitted, DeliveryCharge, PaymentChoice, Source, SubmittedItem
from shared.contracts.values import Address, Customer, Discount, TaxLine

NAMES = (
    "Ada Lovelace,Grace Hopper,Alan Turing,Katherine Johnson,Edsger Dijkstra,Barbara Liskov,Donald Knuth,Radia Perlman,"
    "Leslie Lamport,Frances Allen,Jim Gray,Adele Goldberg,Tony Hoare,Karen Jones,Niklaus Wirth,Margaret Hamilton"
).split(",")


class Country(NamedTuple):
    currency: str
    vat: str
    """Per cent; empty: none."""
    reduced: str
    city: str
    prices_include_tax: bool = False


COUNTRIES = {
    "DE": Country("EUR", "19", "7", "Hamburg"),
    "FR": Country("EUR", "20", "5.5", "Brest"),
    "US": Country("USD", "", "", "Portland"),
    "JP": Country("JPY", "10", "8", "Yokohama", prices_include_tax=True),
}


def person(name: str, mark: str) -> Customer:
    """A customer whose address no other run uses: `mark` goes into it."""
    email = f"{name.lower().replace(' ', '.')}.{mark}@customers.example"
    return Customer(name=name, email=email, id=f"c-{mark}", signed_in=True)


def discord_user(customer: Customer) -> str:
    """The id of the customer's user on Discord."""
    return str(800_000_000_000_000_000 + crc32(customer.email.encode()))


FIELDS: Mapping[str, Callable[[Customer], str]] = {"discord": discord_user}
"""What customers write into custom fields."""


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
    here = COUNTRIES[country]
    products = [(catalogue.products[sku], quantity) for sku, quantity in skus]
    is_shipped = any(product.shippable for product, _ in products)
    taxes = _Taxes(country)
    items = tuple(
        SubmittedItem(
            sku=product.sku,
            quantity=quantity,
            unit_price=product.prices[here.currency],
            custom_fields={name: FIELDS[name](customer) for name in product.fields},
            **taxes.on(quantity * product.prices[here.currency], reduced=product.reduced),
        )
        for product, quantity in products
    )
    charges: tuple[DeliveryCharge, ...] = ()
    if is_shipped:
        amount = catalogue.delivery.prices[here.currency]
        charges = (DeliveryCharge(name=catalogue.delivery.name, amount=amount, **taxes.on(amount)),)
    subtotal = sum(item.quantity * item.unit_price for item in items) + sum(charge.amount for charge in charges)
    total = subtotal if here.prices_include_tax else subtotal + taxes.whole
    address = Address(name=customer.name, line1="1 Harbour Road", city=here.city, country=country, postal_code="12345")
    return CheckoutSubmitted(
        store=store,
        customer=customer,
        items=items,
        deliveries=charges,
        currency=here.currency,
        prices_include_tax=here.prices_include_tax,
        subtotal=subtotal,
        tax=taxes.whole,
        total=total,
        purchased=total - discount,
        payment=PaymentChoice(payment_method=card),
        discounts=(Discount(code="KEEPER", amount=discount),) if discount else (),
        taxes=taxes.lines(),
        billing=address,
        shipping=address if is_shipped else None,
        country=country,
        locale="en",
        origin=Source(source="demo", tags=("demo",)),
        terms_accepted_at=datetime.now(UTC),
    )


class OwnTax(TypedDict, total=False):
    tax: int
    tax_rate: str


class _Taxes:
    """The taxes of a basket, line by line."""

    def __init__(self, country: str) -> None:
        self._country, self._here = country, COUNTRIES[country]
        self._sums: Counter[str] = Counter()

    def on(self, amount: int, *, reduced: bool = False) -> OwnTax:
        rate = self._here.reduced if reduced else self._here.vat
        if not rate:
            return {}
        whole = 100 + Decimal(rate) if self._here.prices_include_tax else 100
        tax = int((amount * Decimal(rate) / whole).to_integral_value(ROUND_HALF_UP))
        self._sums[rate] += tax
        return {"tax": tax, "tax_rate": rate}

    @property
    def whole(self) -> int:
        return self._sums.total()

    def lines(self) -> tuple[TaxLine, ...]:
        return tuple(TaxLine(rate=rate, country=self._country, amount=amount) for rate, amount in self._sums.items())
