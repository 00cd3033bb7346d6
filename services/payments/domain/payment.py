"""The payment of one order: its charge attempts, its refunds, and the resulting sums.

The README draws the statuses of both. A capture is a fact whenever it is reported, also of an attempt that was thought
declined or cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.payments.domain.capabilities import Capabilities, capabilities
from services.payments.domain.operations import ChargeCard, Fee, RefundResult
from services.payments.domain.page import Page
from services.payments.domain.verification import Verification, VerificationStatus
from shared.contracts.providers import step_of
from shared.contracts.values import Card, PaymentStatus
from shared.core import Core, Refused
from shared.core.fast_dataclasses import fast, replace
from shared.core.fast_enums import StrEnum


class AttemptStatus(StrEnum):
    CHARGING = "charging"
    ACTION_REQUIRED = "action_required"
    CANCELLING = "cancelling"
    CAPTURED = "captured"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    UNRESOLVED = "unresolved"


OPEN = frozenset(
    {AttemptStatus.CHARGING, AttemptStatus.ACTION_REQUIRED, AttemptStatus.CANCELLING, AttemptStatus.UNRESOLVED}
)
"""The provider may still take the money."""


@fast
@dataclass(frozen=True, slots=True)
class ChargeAttempt:
    """One attempt to charge. Amounts in minor units of the payment's currency."""

    number: int
    amount: int
    at: datetime
    status: AttemptStatus = AttemptStatus.CHARGING
    reference: str = ""
    """The provider's id, empty until it is known."""
    authorised: int = 0
    captured: int = 0
    card: Card | None = None
    code: str = ""
    text: str = ""
    """The provider's or the shell's message, for staff."""
    surplus: bool = False
    """Captured though another attempt had already paid the order: all of it is refunded."""
    settled_by: str = ""
    """Who settled it manually. What the provider reports later takes precedence."""
    provider: str = ""
    """Empty for one of an older build: the payment's."""
    method: str = ""
    """`card`, …"""
    extra_of: int = 0
    """Captured besides the charge of the attempt with this number, under our key: all of it is refunded."""
    captured_at: datetime | None = None
    """When its capture was reported. None before, and for one that an older build captured."""
    fee: Fee | None = None
    """The provider's, for staff. None: unknown."""
    other_currency: str = ""
    """In which the provider made the charge, unlike what staff settled: its amounts mean something else there."""

    @property
    def number_in_checkout(self) -> int:
        """The attempt that checkout knows, which an extra capture has been made for."""
        return self.extra_of or self.number

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_charging(self) -> bool:
        """The outcome of the call is not known yet."""
        return self.status in (AttemptStatus.CHARGING, AttemptStatus.UNRESOLVED)

    @property
    def needs_check(self) -> bool:
        """Its outcome is unknown, the provider is still processing it, or the customer confirms it: the callback may
        be lost."""
        waits = self.status in (AttemptStatus.UNRESOLVED, AttemptStatus.ACTION_REQUIRED)
        return waits or (self.is_charging and bool(self.reference))


MORE_EXTRAS = 1_000_000
"""The first attempt that is `extra_of` another has the number 0, further ones count from here. Checkout counts its own
from 1, and an older build goes by the highest."""


@dataclass(frozen=True, slots=True)
class StrayCharge:
    """A captured charge that names this order, but is not known to be one of its attempts. Amount in minor units."""

    reference: str
    attempt: int
    """As the charge names it."""
    amount: int
    currency: str
    at: datetime
    ours: bool = False
    """It has the key of an attempt that does not exist: it is refunded if none appears. Others' are not."""


class RefundStatus(StrEnum):
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    UNRESOLVED = "unresolved"


@fast
@dataclass(frozen=True, slots=True)
class Share:
    """An item's part of an amount."""

    item: str
    amount: int


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund. `shares` says how much of it is for which item; empty: for none in particular."""

    id: str
    attempt: int
    amount: int
    at: datetime
    status: RefundStatus = RefundStatus.PENDING
    shares: tuple[Share, ...] = ()
    reason: str = ""
    note: str = ""
    reference: str = ""
    """The provider's id, empty until it is known."""
    code: str = ""
    text: str = ""
    """Why it was refused, the last time; kept while it is tried again."""
    settled_by: str = ""
    """Who settled it manually."""
    recorded: bool = False
    """Made in another way than by the provider, as `note` says."""
    tries: int = 1
    """How often the provider was asked to make it, each time under a key of its own."""
    by_hand: bool = False
    """The provider's API cannot make it: staff do, and settle it."""
    retry_at: datetime | None = None
    """When the provider is asked again for one that it refused, and that is owed."""
    remove_access: tuple[str, ...] | None = None
    """Of which items access is removed, of those that become wholly refunded; None: of all of them."""
    remove_offer_access: bool = False
    restock: tuple[str, ...] | None = None
    """Which of those items' units are put back in stock; None: all."""
    makes_whole: tuple[str, ...] | None = None
    """The items that it makes wholly refunded, with all refunds that were requested before it. None: an older build
    requested it."""

    @property
    def of_no_item(self) -> int:
        return self.amount - sum(share.amount for share in self.shares)

    @property
    def is_pending(self) -> bool:
        """It may still be made: its amount is reserved."""
        return self.status in (RefundStatus.PENDING, RefundStatus.UNRESOLVED)

    @property
    def needs_check(self) -> bool:
        """Its outcome is unknown, or only our own call reported it as failed."""
        failed = self.status is RefundStatus.FAILED
        return self.status is RefundStatus.UNRESOLVED or (failed and not self.reference)


@fast
@dataclass(frozen=True, slots=True)
class Payment:
    """All charges and refunds of one order. Invariant: refunded + pending ≤ captured ≤ authorised."""

    number: str
    store: str
    provider: str
    currency: str
    items: tuple[Share, ...]
    """The most that can be refunded for each item: its exact part of the amount."""
    attempts: tuple[ChargeAttempt, ...] = ()
    refunds: tuple[Refund, ...] = ()
    waiting: ChargeCard | None = None
    """A new attempt that is not begun until the earlier one is settled: an order never has two open charges."""
    closing: bool = False
    """The order's time to pay is over: nothing more is charged."""
    closed_as: str = ""
    """`cancelled`, `expired` or `given`: all that is captured is refunded."""
    strays: tuple[StrayCharge, ...] = ()
    early_refunds: tuple[RefundResult, ...] = ()
    """Made in the provider's dashboard before we knew the reference of their charge."""
    revision: int = 0
    """Of its latest status record."""
    updated_at: datetime | None = None
    verifications: tuple[Verification, ...] = ()
    """Of cards, before the order is accepted."""
    page: Page | None = None
    """None until checkout asks the customer to pay."""
    erased_at: datetime | None = None
    """When the customer's personal data was erased."""

    @property
    def kept_card(self) -> Verification | None:
        """The card that was verified last."""
        verified = (it for it in reversed(self.verifications) if it.status is VerificationStatus.VERIFIED)
        return next(verified, None)

    def verification(self, number: int) -> Verification | None:
        return next((it for it in self.verifications if it.number == number), None)

    @property
    def ended_unrequested(self) -> bool:
        """The order was cancelled or has expired before its payment was requested: only this is known of it, it is
        charged no more, and people see no payment."""
        return not self.number

    @property
    def step(self) -> int:
        """Refunds, and the parts of items in them, are multiples of it."""
        return step_of(self.provider_of(self.paying_attempt), self.currency)

    @property
    def authorised(self) -> int:
        return sum(attempt.authorised for attempt in self.attempts)

    @property
    def captured(self) -> int:
        """Everything that was ever captured, surplus included."""
        return sum(attempt.captured for attempt in self.attempts)

    @property
    def refunded(self) -> int:
        return sum(refund.amount for refund in self.refunds if refund.status is RefundStatus.DONE)

    @property
    def pending(self) -> int:
        return sum(refund.amount for refund in self.refunds if refund.is_pending)

    @property
    def paying_attempt(self) -> ChargeAttempt | None:
        """The one attempt that paid the order."""
        return next((a for a in self.attempts if a.status is AttemptStatus.CAPTURED and not a.surplus), None)

    @property
    def open_attempt(self) -> ChargeAttempt | None:
        return next((attempt for attempt in self.attempts if attempt.is_open), None)

    @property
    def supersedes_open_attempt(self) -> bool:
        """An attempt that waits for the customer must not be completed any more."""
        return bool(self.closed_as or self.closing or self.waiting or self.paying_attempt)

    @property
    def order_refunded(self) -> int:
        """Refunds of the paid attempt that are done."""
        return sum(refund.amount for refund in self.order_refunds() if refund.status is RefundStatus.DONE)

    @property
    def refundable(self) -> int:
        """captured − refunded − pending, of the paid attempt."""
        return self.refundable_of(self.paying_attempt) if self.paying_attempt else 0

    def refundable_of(self, attempt: ChargeAttempt) -> int:
        """captured − refunded − pending, of this attempt."""
        return attempt.captured - sum(r.amount for r in self.refunds_of(attempt) if r.status is not RefundStatus.FAILED)

    def must_be_refunded(self, attempt: ChargeAttempt) -> bool:
        """All that was captured is the customer's: a surplus, or the order came to nothing."""
        return bool(attempt.captured) and (attempt.surplus or bool(self.closed_as))

    def owed_of(self, attempt: ChargeAttempt) -> int:
        """What the customer is to get of it, refunds in progress left out."""
        left = self.refundable_of(attempt) if attempt.captured else 0
        if self.must_be_refunded(attempt):
            return left
        return max(min(left, self._beyond(attempt, [*self.refunds_of(attempt)])), 0)

    def _beyond(self, attempt: ChargeAttempt, refunds: Iterable[Refund]) -> int:
        """What was captured beyond the order's amount, and is in none of these refunds: what is of no item is of that
        first."""
        of_no_item = sum(r.of_no_item for r in refunds if r.status is not RefundStatus.FAILED)
        return max(attempt.captured - attempt.amount - of_no_item, 0)

    @property
    def owed(self) -> int:
        """What the customer is to get and has not got: what must be refunded, and refunds in progress."""
        return sum(self.owed_of(attempt) for attempt in self.attempts) + self.pending

    @property
    def order_is_refunded(self) -> bool:
        """Nothing is left of what paid the order."""
        attempt = self.paying_attempt
        if attempt is None:
            return False
        done = [refund for refund in self.order_refunds() if refund.status is RefundStatus.DONE]
        return self.order_refunded >= attempt.captured - self._beyond(attempt, done)

    @property
    def unresolved(self) -> bool:
        """The outcome of a call to the provider is unknown."""
        return any(attempt.status is AttemptStatus.UNRESOLVED for attempt in self.attempts) or any(
            refund.status is RefundStatus.UNRESOLVED for refund in self.refunds
        )

    @property
    def status(self) -> PaymentStatus:
        if self.paying_attempt is None:
            waits = self.open_attempt or self.waiting or (self.verifications and not self.attempts)
            return PaymentStatus.PENDING if waits else PaymentStatus.FAILED
        if self.order_refunded == 0:
            return PaymentStatus.PAID
        return PaymentStatus.REFUNDED if self.order_is_refunded else PaymentStatus.PARTIALLY_REFUNDED

    def order_refunds(self) -> Iterable[Refund]:
        """Refunds of the attempt that paid the order; those of a surplus are not the order's."""
        return self.refunds_of(self.paying_attempt) if self.paying_attempt else ()

    def refunds_of(self, attempt: ChargeAttempt) -> Iterable[Refund]:
        return (refund for refund in self.refunds if refund.attempt == attempt.number)

    def refundable_shares(self) -> tuple[Share, ...]:
        """What can still be refunded for each item, pending refunds taken off."""
        used = [share for r in self.order_refunds() if r.status is not RefundStatus.FAILED for share in r.shares]
        return tuple(Share(i.item, i.amount - sum(s.amount for s in used if s.item == i.item)) for i in self.items)

    def refunded_shares(self) -> dict[str, int]:
        """What has been refunded for each item."""
        done = [share for r in self.order_refunds() if r.status is RefundStatus.DONE for share in r.shares]
        return {i.item: sum(share.amount for share in done if share.item == i.item) for i in self.items}

    @property
    def requested_attempts(self) -> tuple[ChargeAttempt, ...]:
        """Those that checkout requested."""
        return tuple(attempt for attempt in self.attempts if not attempt.extra_of)

    def is_by_hand(self, attempt: ChargeAttempt | None) -> bool:
        """The customer pays in another way, and staff record it."""
        return not self.capabilities_of(attempt).charges

    def capabilities_of(self, attempt: ChargeAttempt | None) -> Capabilities:
        return capabilities(self.provider_of(attempt), attempt.method if attempt else "")

    def refundable_until(self, attempt: ChargeAttempt) -> datetime | None:
        """When the provider's API stops refunding it; None: it sets no limit."""
        return self.capabilities_of(attempt).refundable_until(attempt.captured_at or attempt.at)

    def provider_of(self, attempt: ChargeAttempt | None) -> str:
        return (attempt.provider if attempt else "") or self.provider

    def attempt(self, number: int) -> ChargeAttempt | None:
        return next((attempt for attempt in self.attempts if attempt.number == number), None)

    def refund(self, id: str) -> Refund | None:
        return next((refund for refund in self.refunds if refund.id == id), None)

    def with_attempt(self, changed: ChargeAttempt) -> Payment:
        others = tuple(attempt for attempt in self.attempts if attempt.number != changed.number)
        return replace(self, attempts=tuple(sorted((*others, changed), key=lambda attempt: attempt.number)))

    def with_refund(self, changed: Refund) -> Payment:
        if self.refund(changed.id) is None:
            return replace(self, refunds=(*self.refunds, changed))
        return replace(self, refunds=tuple(changed if r.id == changed.id else r for r in self.refunds))


payments = Core(Payment, missing=Refused("not_found", "Nothing was charged or refunded for this order."))
