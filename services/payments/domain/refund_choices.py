"""What a refund does besides moving money: whose access it removes, and whose units go back to the stock.

Both are about items that become wholly refunded. Where several refunds make up an item, the one whose request made it
whole decides, in whatever order they are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.payments.domain.payment import ChargeAttempt, Payment, Refund, RefundStatus, Share
from shared.contracts.payments import RefundPayment
from shared.core import Problem
from shared.core.fast_dataclasses import replace


def whole_items(payment: Payment) -> frozenset[str]:
    """The items that are wholly refunded."""
    if payment.order_is_refunded:
        return frozenset(item.item for item in payment.items)
    refunded = payment.refunded_shares()
    return frozenset(item.item for item in payment.items if 0 < item.amount <= refunded[item.item])


def newly_whole(before: Payment, after: Payment) -> tuple[str, ...]:
    """The items that have become wholly refunded, in the order's sequence."""
    new = whole_items(after) - whole_items(before)
    return tuple(item.item for item in after.items if item.item in new)


def if_pending_were_made(payment: Payment) -> Payment:
    refunds = (replace(each, status=RefundStatus.DONE) if each.is_pending else each for each in payment.refunds)
    return replace(payment, refunds=tuple(refunds))


def made_whole_by(payment: Payment, attempt: ChargeAttempt, amount: int, shares: tuple[Share, ...]) -> tuple[str, ...]:
    """The items that such a refund would make wholly refunded. Refunds in progress count as made."""
    before = if_pending_were_made(payment)
    return newly_whole(
        before, before.with_refund(Refund("", attempt.number, amount, attempt.at, RefundStatus.DONE, shares))
    )


def with_whole(payment: Payment, refund: Refund) -> Refund:
    """A refund that is requested now: it decides about the items that it makes wholly refunded."""
    attempt = payment.attempt(refund.attempt)
    whole = made_whole_by(payment, attempt, refund.amount, refund.shares) if attempt else ()
    return replace(refund, makes_whole=whole)


def chosen(choice: Sequence[str] | None, whole: Sequence[str]) -> tuple[str, ...]:
    """Without a choice: all that become wholly refunded."""
    return tuple(item for item in whole if choice is None or item in choice)


def access_removed(payment: Payment, whole: Sequence[str]) -> tuple[str, ...]:
    """Of items that have become wholly refunded, those whose access is removed."""
    return tuple(item for item in whole if chosen(_deciding(payment, item).remove_access, (item,)))


def put_back(payment: Payment, whole: Sequence[str]) -> tuple[str, ...]:
    """Of items that have become wholly refunded, those whose units go back to the stock."""
    return tuple(item for item in whole if chosen(_deciding(payment, item).restock, (item,)))


def offer_access_removed(payment: Payment, refund: Refund) -> bool:
    """By a refund that was made, the access that came with the order's offer, and with every order: by its choice, or
    with the whole order, unless the refund that was requested last chose whose access is removed."""
    last = [it for it in payment.order_refunds() if it.status is RefundStatus.DONE][-1]
    return refund.remove_offer_access or (payment.order_is_refunded and last.remove_access is None)


def _deciding(payment: Payment, item: str) -> Refund:
    """Of the refunds that were made, the last one that was requested to make the item whole. Without one (another
    refund was not made, or less was captured than was thought): the last that is of the item, or else of the order."""
    done = [refund for refund in payment.order_refunds() if refund.status is RefundStatus.DONE]
    making = [refund for refund in done if item in (refund.makes_whole or ())]
    of_item = [it for it in done if not it.shares or any(share.item == item for share in it.shares)]
    return (making or of_item or done)[-1]


def choice_problems(command: RefundPayment, whole: Sequence[str]) -> Iterator[Problem]:
    """`whole`: the items that the refund would make wholly refunded."""
    for field, choice, what in (
        ("remove_access", command.remove_access, "its access"),
        ("restock", command.restock, "its stock"),
    ):
        for index, item in enumerate(choice or ()):
            if item not in whole:
                text = f"Item {item} does not become wholly refunded by this, so {what} stays as it is."
                yield Problem(field=f"{field}.{index}", code="not_wholly_refunded", text=text)
