"""What the sandbox remembers: small immutable records, one class per Stripe object.

They hold what was decided; `rendering` turns them into Stripe's JSON. Amounts are integers in minor units, times
are Unix seconds of the sandbox's clock. A card is the name of a test card and an expiry: never a number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

IntentStatus = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "requires_capture",
    "succeeded",
    "canceled",
]
Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    id: str
    created: int
    card: str
    exp_month: int
    exp_year: int
    billing_details: Tree | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    customer: str | None = None
    set_up: bool = False
    """Saved by a SetupIntent, so that cards which ask for authentication once are satisfied."""
    detached: bool = False
    """It may not be used again."""


@dataclass(frozen=True, slots=True)
class Token:
    id: str
    created: int
    card: str
    exp_month: int
    exp_year: int
    used: bool = False


@dataclass(frozen=True, slots=True)
class Customer:
    id: str
    created: int
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    description: str | None = None
    address: Tree | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PaymentIntent:
    id: str
    created: int
    client_secret: str
    amount: int
    currency: str
    status: IntentStatus = "requires_payment_method"
    capture_method: Literal["automatic", "automatic_async", "manual"] = "automatic_async"
    confirmation_method: Literal["automatic", "manual"] = "automatic"
    amount_capturable: int = 0
    amount_received: int = 0
    payment_method: str | None = None
    allowed_payment_method_types: tuple[str, ...] | None = None
    allow_redirects: Literal["always", "never"] | None = "always"
    """None where `allowed_payment_method_types` was given instead of automatic payment methods."""
    customer: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    receipt_email: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    setup_future_usage: str | None = None
    shipping: Tree | None = None
    transfer_group: str | None = None
    three_d_secure: str = "automatic"
    return_url: str | None = None
    page: str | None = None
    """Where the customer authenticates, while `requires_action`."""
    latest_charge: str | None = None
    last_error: Tree | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    id: str
    created: int
    intent: str
    amount: int
    currency: str
    payment_method: str
    card: str
    exp_month: int
    exp_year: int
    status: Literal["succeeded", "failed"]
    captured: bool
    amount_captured: int = 0
    amount_refunded: int = 0
    authenticated: bool = False
    capture_before: int | None = None
    failure_code: str | None = None
    decline_code: str | None = None
    failure_message: str | None = None
    advice_code: str | None = None
    balance_transaction: str | None = None
    refunds: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    receipt_email: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    shipping: Tree | None = None
    billing_details: Tree | None = None
    customer: str | None = None
    transfer_group: str | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    id: str
    created: int
    charge: str
    intent: str
    amount: int
    currency: str
    payment_method: str
    customer: str | None = None
    status: Literal["pending", "succeeded", "failed"] = "succeeded"
    reason: str | None = None
    failure_reason: str | None = None
    succeeds_at: float | None = None
    """When one that is pending will have succeeded; None: when it is told so."""
    bounces_at: float | None = None
    """When the bank will return it, for `bounces_for`."""
    bounces_for: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    balance_transaction: str | None = None
    failure_balance_transaction: str | None = None


@dataclass(frozen=True, slots=True)
class BalanceTransaction:
    """One movement of money; `amount` is negative when it leaves."""

    id: str
    created: int
    type: Literal["charge", "refund", "refund_failure"]
    amount: int
    currency: str
    source: str
    fee: int = 0
    description: str | None = None


@dataclass(frozen=True, slots=True)
class SetupIntent:
    id: str
    created: int
    client_secret: str
    status: Literal["requires_payment_method", "requires_confirmation", "requires_action", "succeeded", "canceled"] = (
        "requires_payment_method"
    )
    usage: Literal["off_session", "on_session"] = "off_session"
    payment_method: str | None = None
    allowed_payment_method_types: tuple[str, ...] | None = None
    allow_redirects: Literal["always", "never"] | None = "always"
    customer: str | None = None
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    return_url: str | None = None
    page: str | None = None
    last_error: Tree | None = None
    cancellation_reason: str | None = None


Record = PaymentMethod | Token | Customer | PaymentIntent | Charge | Refund | BalanceTransaction | SetupIntent

KINDS: dict[str, type[Any]] = {
    "payment_method": PaymentMethod,
    "token": Token,
    "customer": Customer,
    "payment_intent": PaymentIntent,
    "charge": Charge,
    "refund": Refund,
    "balance_transaction": BalanceTransaction,
    "setup_intent": SetupIntent,
}
NAMES = {kind: name for name, kind in KINDS.items()}
PREFIXES = {
    PaymentMethod: "pm_1",
    Token: "tok_1",
    Customer: "cus_",
    PaymentIntent: "pi_3",
    Charge: "ch_3",
    Refund: "re_3",
    BalanceTransaction: "txn_3",
    SetupIntent: "seti_1",
}
