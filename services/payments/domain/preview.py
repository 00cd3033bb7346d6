"""What a refund would do, before it is requested."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.payments.domain.payment import Payment, Refund, RefundStatus
from services.payments.domain.refund import NOT_PAID, attempt_to_refund, made_by_hand, plan
from services.payments.domain.refund_choices import chosen, if_pending_were_made, newly_whole, offer_access_removed
from services.payments.domain.refund_made import refunded_lines
from shared.contracts.payments import RefundPayment
from shared.core import Refused
from shared.core.fast_dataclasses import replace


@dataclass(frozen=True, slots=True)
class ItemPreview:
    """An item. Amounts in minor units; `refundable_…`: the most that can still be refunded for it."""

    item: str
    """The item's id within the order."""
    amount: int
    """What this refund returns for it, in minor units."""
    whole: bool
    """It becomes wholly refunded."""
    refundable_before: int
    """What can be refunded for it now, in minor units."""
    refundable_after: int
    """What can be refunded for it after this refund, in minor units."""


@dataclass(frozen=True, slots=True)
class ItemsChoice:
    """A choice of the items that become wholly refunded."""

    default: tuple[str, ...]
    """The items without a choice."""
    chosen: tuple[str, ...]
    """The items that this refund chooses."""


@dataclass(frozen=True, slots=True)
class FlagChoice:
    """A choice to do it or not."""

    default: bool
    """Whether it is done without a choice."""
    chosen: bool
    """Whether this refund does it."""


@dataclass(frozen=True, slots=True)
class RefundPreview:
    """A refund as it would be made now. Amounts in minor units."""

    attempt: int
    """The number of the payment attempt: 1 is the customer's first."""
    amount: int
    """How much is refunded, in minor units."""
    currency: str
    """The currency: its ISO 4217 code."""
    refundable_before: int
    """The most that can still be refunded of the attempt, in minor units."""
    refundable_after: int
    """The same after this refund, in minor units."""
    items: tuple[ItemPreview, ...]
    """Every item of the order; none if the attempt did not pay for them."""
    recorded: bool
    """No money moves at the provider."""
    provider: str
    """The payment provider: `stripe`, or `manual`."""
    dashboard: str
    """Where staff see the charge at the provider."""
    by_hand: bool
    """The provider's API cannot make it (no refunds, or no partial ones): staff do, and confirm it."""
    refundable_until: datetime | None
    """Until when the provider's API refunds the attempt. null: it sets no limit."""
    remove_access: ItemsChoice
    """Whose access is removed. What is not delivered yet is not delivered any more, in any case."""
    restock: ItemsChoice
    """Whose units are put back in stock, where it is counted."""
    remove_offer_access: FlagChoice | None = None
    """Whether the access that came with the order's offer, and with every order, is removed. null: the attempt did not
    pay the order."""
    parked: int = 0
    """How many messages of the order wait for staff in payments. What they change is not in the preview, and the refund
    itself is refused until they are handled."""


def preview(payment: Payment | None, command: RefundPayment, at: datetime) -> RefundPreview | Refused:
    """Refused as the command would be. Refunds in progress count as made."""
    attempt = attempt_to_refund(payment, command)
    if payment is None or attempt is None:
        return NOT_PAID
    planned = plan(payment, attempt, command, at)
    if isinstance(planned, Refused):
        return planned
    amount, shares = planned
    provider = payment.provider_of(attempt)
    before = if_pending_were_made(payment)
    refund = Refund(
        id="",
        attempt=attempt.number,
        amount=amount,
        at=attempt.at,
        status=RefundStatus.DONE,
        shares=shares,
        remove_access=command.remove_access,
        remove_offer_access=command.remove_offer_access,
    )
    after = before.with_refund(refund)
    whole = newly_whole(before, after)
    return RefundPreview(
        attempt=attempt.number,
        amount=amount,
        currency=payment.currency,
        refundable_before=before.refundable_of(attempt),
        refundable_after=after.refundable_of(attempt),
        items=_items(before, after, refund) if attempt is payment.paying_attempt else (),
        recorded=not command.refund_payment,
        provider=provider,
        dashboard=payment.capabilities_of(attempt).dashboard,
        by_hand=command.refund_payment and made_by_hand(payment, attempt, amount, at),
        refundable_until=payment.refundable_until(attempt),
        remove_access=ItemsChoice(whole, chosen(command.remove_access, whole)),
        restock=ItemsChoice(whole, chosen(command.restock, whole)),
        remove_offer_access=_of_offer(after, refund) if attempt is payment.paying_attempt else None,
    )


def _of_offer(after: Payment, refund: Refund) -> FlagChoice:
    without = replace(refund, remove_access=None, remove_offer_access=False)
    default = offer_access_removed(after.with_refund(without), without)
    return FlagChoice(default, chosen=offer_access_removed(after, refund))


def _items(before: Payment, after: Payment, refund: Refund) -> tuple[ItemPreview, ...]:
    amounts = {share.item: share.amount for share in refund.shares}
    whole = {line.item for line in refunded_lines(before, after, refund) if line.whole}
    was, now = _most(before), _most(after)
    return tuple(
        ItemPreview(item.item, amounts.get(item.item, 0), item.item in whole, was[item.item], now[item.item])
        for item in before.items
    )


def _most(payment: Payment) -> dict[str, int]:
    """An item's part, but no more than is left of the whole payment."""
    return {share.item: min(share.amount, payment.refundable) for share in payment.refundable_shares()}
