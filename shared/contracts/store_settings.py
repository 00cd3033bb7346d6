"""The settings of a store, in groups, and the command that changes some of them. docs/stores.md says what each does."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.contracts.checkout import COMMANDS
from shared.contracts.values import Amount, CoolDown, Count, Email, FreeText, Given, Line, Url, Wait
from shared.core import Command


class ShopSettings(Given):
    """Its name and its addresses."""

    name: Line | None = None
    """The store's name, as customers read it."""
    staff_email: Email | None = None
    """Receives alerts to staff."""
    support_email: Email | None = None
    """Where customers write to."""
    order_url: Url | None = None
    """The page where a customer sees an order and can pay again. `{order}` is replaced by the order id."""


class OrderSettings(Given):
    """Who can order, and how long a checkout stays open."""

    require_sign_in: bool | None = None
    """Only signed-in customers can order."""
    abandon_after: Wait | None = None
    """How long a checkout stays open without being submitted (ISO 8601 duration)."""
    approval: Literal["none", "staff", "rule"] | None = None
    """Who accepts an order before it is charged. By `rule`: those up to `accept_up_to` are, staff decide the others."""
    capture: Literal["submission", "approval"] | None = None
    """When an order is charged: at its submission, or on approval."""
    verification: Literal["none", "amount", "setup"] | None = None
    """How the card of an order that waits for approval is verified: an amount is authorised and released at once, or
    the card is set up. It is kept for one charge."""
    verification_amount: dict[Line, Amount] | None = None
    """What is authorised, by currency."""
    accept_up_to: dict[Line, Amount] | None = None
    """By currency: an order up to this purchased amount is accepted by rule, unless it is held."""


class PaymentSettings(Given):
    """What is paid with, and how long the store waits for it."""

    currencies: tuple[Line, ...] | None = None
    """ISO 4217 codes; the usual one first."""
    providers: tuple[Line, ...] | None = None
    """`stripe`, `manual`; the usual one first."""
    methods: dict[Line, tuple[Line, ...]] | None = None
    """By provider: which of its methods customers can choose, the usual one first. Of providers without an
    entry: all."""
    descriptor: Line | None = None
    """What customers read on the statement of their card. Empty: the provider's own."""
    grace: Wait | None = None
    """How long an unpaid order stays open: from its submission, and once more from its first declined payment."""
    tries: Count | None = None
    """How often the customer can try to pay an order, the first time included: 1 to 50."""
    cool_down: CoolDown | None = None
    """How long the customer waits after the third declined payment. Doubled by each further one, up to an hour."""
    reminders: tuple[Wait, ...] | None = None
    """When a customer who has not paid is reminded: counted from the first declined payment, or from the submission if
    none was declined."""


class FulfilmentSettings(Given):
    """When a paid order is delivered, and completed."""

    start_by_hand: bool | None = None
    """The delivery of a paid order waits until staff start it (`delivery.start`)."""
    complete_by_hand: bool | None = None
    """An order of which everything is delivered waits until staff complete it (`order.complete`)."""
    hold_total_above: dict[Line, Amount] | None = None
    """By currency: an order above this purchased amount is held for verification."""
    hold_other_country: bool | None = None
    """An order whose billing and shipping addresses are in different countries is held for verification."""
    hold_email_domains: tuple[Line, ...] | None = None
    """An order of a customer with an address at one of these domains, or below it, is held for verification."""
    hold_first_order: bool | None = None
    """An order of a customer who has not bought in the store before is held for verification."""


class MoneySettings(Given):
    """How prices are given, and sums are shown."""

    prices_include_tax: bool | None = None
    """Prices have the tax in them (true), or it is added (false): a checkout that says otherwise is refused. Not set:
    each checkout says it."""

    show_partial_refund_as_refunded: bool | None = None
    """Show a paid or completed order as refunded after a partial refund."""


class WordSettings(Given):
    """Who writes to customers, and how."""

    sender: Email | None = None
    """The From address of emails to customers."""
    languages: tuple[Line, ...] | None = None
    """Of emails and feeds, as BCP 47 tags (`de-AT`); the first is for customers with another one, and for staff. Not
    set: all that there are, and English for others and staff."""
    time_zone: Line | None = None
    """Of times in emails and feeds: `Europe/Berlin`. Not set: UTC."""
    statuses: dict[Line, Line] | None = None
    """What the store calls a status, such as `Paid` for `processing`. Others: as they are."""


class DataSettings(Given):
    """How long personal data is kept."""

    keep_abandoned: Wait | None = None
    """Whole days: how long what a checkout told that is never submitted is kept, from its opening (ISO 8601 duration).
    Not set: for good."""
    keep_orders: Wait | None = None
    """Whole days: how long the personal data of an order is kept, from its end; then it is erased in all services.
    Not set: for good."""


class StoreSettings(Given):
    """In a change: what is missing stays as it is. As told of a store: what is missing is not set."""

    shop: ShopSettings = ShopSettings()
    """Its name and its addresses."""
    orders: OrderSettings = OrderSettings()
    """Who can order, and how long a checkout stays open."""
    payment: PaymentSettings = PaymentSettings()
    """What is paid with, and how long the store waits for it."""
    fulfilment: FulfilmentSettings = FulfilmentSettings()
    """When a paid order is delivered, and completed."""
    money: MoneySettings = MoneySettings()
    """How prices are given, and sums are shown."""
    words: WordSettings = WordSettings()
    """Who writes to customers, and how."""
    data: DataSettings = DataSettings()
    """How long personal data is kept."""


class ChangeStore(Command, type="store.change", topic=COMMANDS):
    """Change some settings of a store: all of those given, or none. The others stay as they are. Key: the store's id.
    A store that does not exist yet is created if all settings without a default are given."""

    settings: StoreSettings = StoreSettings()
    """The settings to change, in their groups."""
    reset: tuple[Line, ...] = Field(default=(), max_length=100)
    """Settings that take their default first: `payment.grace`."""
    reason: FreeText = ""
    """Why, for the store's history."""
