"""Messages of the storefront's checkout page. Key: the order id, which the storefront chooses (such as a UUIDv7)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from shared.contracts.text import one_line
from shared.contracts.values import (
    Address,
    Amount,
    BillingField,
    Country,
    Currency,
    Customer,
    Discount,
    Email,
    FreeText,
    Given,
    Id,
    ItemKind,
    Line,
    Locale,
    Moment,
    Rate,
    StoreId,
    TaxLine,
    Text,
    Url,
)
from shared.core import Command, Topic

CHECKOUTS = Topic("storefront.checkouts.v1", owner="storefront", description="Customers' actions on the checkout page.")


class Source(Given):
    """Where the customer came from."""

    link: Url | None = None
    """The checkout link that the customer followed."""
    source: Line | None = None
    """Where the customer came from, in the storefront's words: `newsletter`."""
    tags: tuple[Line, ...] = ()
    """The storefront's own words for the checkout, for filters and reports."""
    analytics_consent: bool = False
    """The customer consents to analytics."""
    client_ip: Line | None = None
    """The customer's IP address. Part of the order's timeline."""


class CartLine(Given):
    """What a customer has chosen so far. It need not be sold by the store any more."""

    sku: Id
    """The SKU."""
    quantity: int = Field(ge=1, lt=2**31)
    """How many units."""
    kind: ItemKind = "product"
    """`product` (chosen), `order_bump` (added on the checkout page) or `pre_upsell` (taken from an offer before it)."""


class CheckoutOpened(Command, type="checkout.opened", topic=CHECKOUTS):
    """A customer opened the checkout page. This creates the order."""

    store: StoreId
    currency: Currency
    country: Country | None = None
    locale: Locale | None = None
    email: Email | None = None
    """The customer's address, if the page knows it."""
    origin: Source = Source()
    """Where the customer came from."""
    items: tuple[CartLine, ...] = Field(default=(), max_length=200)
    """What is in the cart. Abandoned checkouts are listed with it."""


class PricedLine(Given):
    """A line of a checkout, with its own discount and tax. As soon as one line has a discount, the lines' discounts
    must sum to `discounts`; as soon as one has a tax or a rate, the lines' taxes must sum to `taxes`. A line that says
    nothing then has none."""

    discount: Amount | None = None
    """This line's part of `discounts`."""
    tax: Amount | None = None
    """This line's part of `taxes`. Missing, with a rate: its share of that rate's tax, in proportion to the amounts."""
    tax_rate: Rate | None = None
    """Per cent as a decimal string: that of one of the `taxes`, unless the line has no tax. Missing: several taxes."""
    tax_country: Country | None = None
    """Required if `taxes` have the rate for several countries."""


class SubmittedItem(PricedLine):
    """One line as shown to the customer. Prices are checked against the SKU."""

    sku: Id
    """The SKU."""
    quantity: int = Field(ge=-(2**31), lt=2**31)
    """How many units: at least 1, or the order is refused."""
    unit_price: Amount
    """The price of one unit as shown, which must be the SKU's price."""
    kind: ItemKind = "product"
    """`product` (chosen), `order_bump` (added on the checkout page) or `pre_upsell` (taken from an offer before it)."""
    custom_fields: dict[Line, FreeText] = Field(default_factory=dict, max_length=50)
    """What the customer wrote into the product's own fields, by their names."""


class DeliveryCharge(PricedLine):
    """What the customer pays for the delivery. It becomes a line of the order, after the products: an item of kind
    `delivery`, of which nothing is delivered, and which can be refunded like a product."""

    name: Line
    """As shown to the customer: `Standard delivery`."""
    amount: Amount
    """Before discounts, and before tax unless prices include it. It counts towards the subtotal."""
    method: Id = "delivery"
    """The storefront's own name for the method: the item's `sku`. It need not be defined."""


class PaymentChoice(Given):
    """How the customer pays: a provider that the store offers, and for a card a token or id that the provider issued.
    Never a card number."""

    payment_method: Line | None = None
    """Stripe's `pm_…`."""
    token: Line | None = None
    """Stripe's `tok_…`."""
    provider: Line | None = None
    """`stripe` or `manual` (the store waits for the money, and staff record it). Without it: the first that the store
    offers."""
    method: Line | None = None
    """`card` of stripe; `bank_transfer`, `cash` or `other` of manual."""


class CheckoutSubmitted(Command, type="checkout.submitted", topic=CHECKOUTS):
    """The customer submitted the checkout."""

    store: StoreId
    customer: Customer
    """The buyer."""
    items: tuple[SubmittedItem, ...] = Field(max_length=200)
    """What is bought. At least one is required."""
    currency: Currency
    subtotal: Amount
    """Sum of quantity × unit price, and of the delivery charges."""
    tax: Amount
    """Sum of the tax lines."""
    total: Amount
    """subtotal + tax, or the subtotal if prices include tax: before discounts."""
    purchased: Amount
    """total - discounts: the amount to charge."""
    payment: PaymentChoice = PaymentChoice()
    """How the customer pays."""
    prices_include_tax: bool = False
    """Whether prices and delivery charges include the tax, which is then a part of the subtotal."""
    deliveries: tuple[DeliveryCharge, ...] = Field(default=(), max_length=20)
    """What the customer pays for the delivery."""
    discounts: tuple[Discount, ...] = Field(default=(), max_length=20)
    """Each discount, by its code."""
    taxes: tuple[TaxLine, ...] = Field(default=(), max_length=50)
    """Each tax, by rate and country."""
    billing: Address | None = None
    """The billing address, if the page asks for it."""
    shipping: Address | None = None
    """Where parcels are sent. Required if an item is shippable."""
    country: Country | None = None
    locale: Locale | None = None
    offer: Id | None = None
    """The store's offer by which the customer orders, if it brings something along with the items
    (`offer.configure`)."""
    origin: Source = Source()
    """Where the customer came from. Missing: as `checkout.opened` said."""
    terms_accepted_at: Moment | None = None
    """When the customer accepted the terms."""
    terms: Line | None = None
    """Which terms were accepted: their version, or a hash of their text."""
    company: Line | None = None
    """The customer's company."""
    vat_number: Line | None = None
    """The company's VAT number. It is not checked."""
    billing_fields: tuple[BillingField, ...] = Field(default=(), max_length=50)
    """What else the billing form asked, in its order."""
    purchaser_role: Line | None = None
    """The customer's role: `instructor`, `student` or any word of the store."""


class CheckoutPaymentRetried(Command, type="checkout.payment_retried", topic=CHECKOUTS):
    """The customer pays again after a declined card or an unfinished 3-D Secure step."""

    payment: PaymentChoice
    """How the customer pays now."""


class CheckoutAbandoned(Command, type="checkout.abandoned", topic=CHECKOUTS):
    """The customer abandoned the order before paying."""

    reason: Annotated[Text, AfterValidator(one_line)] = ""
    """Why, in the customer's words."""


class CheckoutAsked(Command, type="checkout.asked", topic=CHECKOUTS):
    """The customer asks the store to cancel the order or to refund it. Staff answer (`order.answer`)."""

    wants: Literal["cancel", "refund"]
    """What the customer asks for: `cancel` the order, or `refund` what was paid."""
    text: FreeText = ""
    """Why, for staff."""
