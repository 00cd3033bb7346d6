"""The validation of a checkout, which lists every problem at once, and the lines of a valid one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from services.checkout.domain import sums
from services.checkout.domain.order import Line, Order
from services.checkout.domain.sku import Sku
from services.checkout.domain.store import Store
from shared.contracts.envelope import encode
from shared.contracts.problems import listed
from shared.contracts.providers import MANUAL, METHODS, limit_problems
from shared.contracts.storefront import CheckoutOpened, CheckoutSubmitted, DeliveryCharge, PaymentChoice, SubmittedItem
from shared.contracts.values import Address, DeliveryStatus, OrderItem
from shared.core import Problem, Refused
from shared.core.money import MAX_AMOUNT, decimal_string

MOST_UNITS = 10**9
LARGEST_CHECKOUT = 300_000
"""Bytes. The order's events repeat it with the products' names and pictures and must fit into a record."""
Skus = Mapping[str, Sku]
"""Those of the submitted items that exist, by name."""
HasRead = Callable[..., bool]
"""Whether all of these paths of the message were read."""


def invalid(problems: Sequence[Problem]) -> Refused:
    return Refused("invalid_submission", f"The checkout is invalid: {listed(problems)}."[:2000], problems)


def opening_problems(message: CheckoutOpened, store: Store) -> list[Problem]:
    return [*_size(message), *_currency(message.currency, store)]


SUMMED = ("items", "deliveries", "currency", "subtotal", "tax", "total", "purchased", "discounts", "taxes")
NEEDED = {
    "no_price": ("currency",),
    "wrong_price": ("currency",),
    "payment_missing": ("purchased",),
    "payment_ambiguous": ("payment.provider",),
    "unknown_method": ("payment.provider",),
    "amount_too_small": ("currency", "payment"),
    "amount_too_large": ("currency", "payment"),
    "amount_off_step": ("currency", "payment"),
    "currency_not_chargeable": ("currency", "payment"),
}
"""What else must be read for a problem to be one, besides its own field."""


def readable_problems(message: CheckoutSubmitted, store: Store, skus: Skus, has_read: HasRead) -> list[Problem]:
    """Those of a checkout of which not all can be read. Where an amount cannot, its sums are not checked."""
    summed = has_read(*SUMMED, "prices_include_tax")
    return [
        problem
        for problem in problems(message, store, skus, summed=summed)
        if has_read(problem.field, *NEEDED.get(problem.code, ()))
    ]


def problems(message: CheckoutSubmitted, store: Store, skus: Skus, *, summed: bool = True) -> list[Problem]:
    """`summed`: check the sums."""
    return [
        *_size(message),
        *_sign_in(message, store),
        *_currency(message.currency, store),
        *_items(message, skus),
        *_deliveries(message),
        *(sums.problems(message) if summed else ()),
        *_charge(message, store.payment_providers),
        *payment_problems(message.payment, store, required=message.purchased > 0),
        *_tax_in_prices(message, store),
    ]


def lines(message: CheckoutSubmitted, skus: Skus) -> tuple[Line, ...]:
    """The lines of a valid checkout: its items, then its delivery charges."""
    own, items = sums.line_sums(message), len(message.items)
    products = enumerate(zip(message.items, own[:items], strict=True), start=1)
    charges = enumerate(zip(message.deliveries, own[items:], strict=True), start=items + 1)
    return (
        *(Line(_order_item(str(number), item, skus[item.sku], part)) for number, (item, part) in products),
        *(
            Line(_charge_item(str(number), charge, part), delivery=DeliveryStatus.NOT_NEEDED)
            for number, (charge, part) in charges
        ),
    )


def provider_of(payment: PaymentChoice | None, offered: Sequence[str]) -> str:
    return (payment.provider if payment else None) or offered[0]


def methods_of(provider: str, offer: Store | Order) -> Sequence[str]:
    """Those that can be chosen, the usual one first."""
    return (offer.payment_methods or {}).get(provider) or METHODS[provider]


def payment_problems(payment: PaymentChoice, offer: Store | Order, *, required: bool) -> Iterator[Problem]:
    """`offer`: what has the providers and methods that can be chosen."""
    offered = offer.payment_providers
    provider = provider_of(payment, offered)
    if provider not in offered:
        text = f"The store offers {', '.join(offered)}."
        yield Problem(field="payment.provider", code="provider_not_offered", text=text)
        return
    methods = methods_of(provider, offer)
    if payment.method and payment.method not in methods:
        text = f"The methods of {provider} are {', '.join(methods)}."
        yield Problem(field="payment.method", code="unknown_method", text=text)
    given = [name for name in ("payment_method", "token") if getattr(payment, name)]
    if provider == MANUAL:
        yield from (
            Problem(field=f"payment.{name}", code="payment_ambiguous", text=f"Leave it out: it is not of {provider}.")
            for name in given
        )
        return
    if len(given) > 1:
        text = "Specify `payment_method` or `token`, not both."
        yield Problem(field="payment", code="payment_ambiguous", text=text)
    if required and not given:
        yield Problem(field="payment", code="payment_missing", text="A payment method or a card token is required.")


def _order_item(line: str, item: SubmittedItem, sku: Sku, own: sums.LineSums) -> OrderItem:
    return OrderItem(
        item=line,
        sku=item.sku,
        product=sku.product,
        quantity=item.quantity,
        unit_price=item.unit_price,
        line_total=own.amount,
        purchased=own.purchased,
        discount=own.discount,
        tax=own.tax.amount,
        tax_rate=own.tax.rate,
        tax_country=own.tax.country,
        kind=item.kind,
        shippable=sku.shippable,
        thumbnail=sku.thumbnail,
        custom_fields=item.custom_fields,
    )


def _charge_item(line: str, delivery: DeliveryCharge, own: sums.LineSums) -> OrderItem:
    return OrderItem(
        item=line,
        sku=delivery.method,
        product=delivery.name,
        quantity=1,
        unit_price=own.amount,
        line_total=own.amount,
        purchased=own.purchased,
        discount=own.discount,
        tax=own.tax.amount,
        tax_rate=own.tax.rate,
        tax_country=own.tax.country,
        kind="delivery",
    )


def _size(message: CheckoutOpened | CheckoutSubmitted) -> Iterator[Problem]:
    if len(encode(message)) > LARGEST_CHECKOUT:
        text = f"The checkout is larger than {LARGEST_CHECKOUT} bytes."
        yield Problem(field="", code="too_large", text=text)


def _sign_in(message: CheckoutSubmitted, store: Store) -> Iterator[Problem]:
    if store.require_sign_in and not message.customer.signed_in:
        text = "This store sells to signed-in customers only."
        yield Problem(field="customer.signed_in", code="sign_in_required", text=text)


def _tax_in_prices(message: CheckoutSubmitted, store: Store) -> Iterator[Problem]:
    if store.prices_include_tax not in (None, message.prices_include_tax):
        text = f"This store's prices {'include the tax' if store.prices_include_tax else 'are without tax'}."
        yield Problem(field="prices_include_tax", code="other_prices", text=text)


def _currency(currency: str, store: Store) -> Iterator[Problem]:
    if currency not in store.currencies:
        text = f"This store sells in {', '.join(store.currencies)}."
        yield Problem(field="currency", code="currency_not_offered", text=text)


def _items(message: CheckoutSubmitted, skus: Skus) -> Iterator[Problem]:
    if not message.items:
        yield Problem(field="items", code="no_items", text="The order has no items.")
    if any(sku.shippable for sku in skus.values()):
        yield from _shipping(message.shipping)
    for index, item in enumerate(message.items):
        yield from _item(f"items.{index}", item, message.currency, skus.get(item.sku))


def _shipping(address: Address | None) -> Iterator[Problem]:
    if address is None:
        yield Problem(field="shipping", code="address_missing", text="A shipping address is required.")
        return
    for name in ("name", "line1", "city"):
        if not getattr(address, name).strip():
            yield Problem(field=f"shipping.{name}", code="address_incomplete", text="Must not be empty.")


def _item(where: str, item: SubmittedItem, currency: str, sku: Sku | None) -> Iterator[Problem]:
    if item.quantity <= 0:
        yield Problem(field=f"{where}.quantity", code="quantity_not_positive", text="Must be at least 1.")
    elif item.quantity > MOST_UNITS:
        yield Problem(field=f"{where}.quantity", code="quantity_too_large", text=f"Must be at most {MOST_UNITS}.")
    if item.quantity * item.unit_price > MAX_AMOUNT:
        yield Problem(field=where, code="amount_too_large", text=f"The line total exceeds {MAX_AMOUNT} minor units.")
    if sku is None:
        yield Problem(field=f"{where}.sku", code="unknown_sku", text=f"Unknown SKU {item.sku}.")
    elif not sku.active:
        yield Problem(field=f"{where}.sku", code="inactive_sku", text=f"{sku.product} is no longer sold.")
    else:
        yield from _price(where, item, currency, sku)


def _deliveries(message: CheckoutSubmitted) -> Iterator[Problem]:
    for index, delivery in enumerate(message.deliveries):
        if not delivery.name.strip():
            yield Problem(field=f"deliveries.{index}.name", code="name_missing", text="Must not be empty.")


def _price(where: str, item: SubmittedItem, currency: str, sku: Sku) -> Iterator[Problem]:
    price = sku.prices.get(currency)
    if price is None:
        text = f"{sku.product} has no price in {currency}."
        yield Problem(field=f"{where}.sku", code="no_price", text=text)
    elif price != item.unit_price:
        text = f"{sku.product} costs {decimal_string(price, currency)} {currency}."
        yield Problem(field=f"{where}.unit_price", code="wrong_price", text=text)


def _charge(message: CheckoutSubmitted, offered: Sequence[str]) -> Iterator[Problem]:
    """What no card of this currency could pay is no matter of the card."""
    provider = provider_of(message.payment, offered)
    if message.purchased and provider in offered:
        yield from limit_problems(provider, "purchased", message.purchased, message.currency)
