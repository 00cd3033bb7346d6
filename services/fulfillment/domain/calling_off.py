"""Cancelled, expired or refunded: stop what is under way, take back what was given, put the stock back once."""

from __future__ import annotations

from services.fulfillment.domain.deliveries import Change, deliveries, everything_held
from services.fulfillment.domain.delivering import affected, grant_access, revoke_access, superseded, why
from services.fulfillment.domain.operations import LookForCodes, PutBackCodes, RevokeAccess, course_destination
from services.fulfillment.domain.states import CourseAccess, Delivery, Item, ItemStatus, Stage, pool_of, row_key
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderRefunded
from shared.contracts.fulfillment import ItemRevocationFailed, ItemRevoked
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision
from shared.core.fast_dataclasses import replace


@deliveries.on_old(OrderCancelled, OrderExpired, holds=everything_held)
def closed(delivery: Delivery | None, message: OrderCancelled | OrderExpired, context: Context) -> Decision[Delivery]:
    if delivery is None:
        if isinstance(message, OrderExpired) and message.was is OrderStatus.CREATED:
            return Decision(None)  # an abandoned checkout page: nothing was ever wanted
        return Decision(Delivery(Stage.CANCELLED))
    if delivery.stage is Stage.CANCELLED:
        return Decision(delivery)
    change = Change(replace(delivery, stage=Stage.CANCELLED), context)
    for item in delivery.items:
        call_off(change, item)
    change.cancel.append(LookForCodes)
    return change.decision()


@deliveries.on_old(OrderRefunded, holds=everything_held)
def refunded(delivery: Delivery | None, message: OrderRefunded, context: Context) -> Decision[Delivery]:
    if delivery is None:
        return Decision(None)
    change = Change(delivery, context)
    for item in delivery.items:
        if message.whole or item.id in message.items:
            call_off(change, item)
    return change.decision()


def call_off(change: Change, item: Item) -> None:
    """Whatever has become of the item: nothing more is done for it, nothing of it stays. Twice is as good as once."""
    item = change.give_back(item)
    change.put(item)
    course = isinstance(item.action, CourseAccess)
    match item.status:
        case ItemStatus.PLANNED:
            change.put(replace(item, status=ItemStatus.REVOKED))
        case ItemStatus.UNDER_WAY if course:
            change.put(replace(item, status=ItemStatus.STOPPING))
        case ItemStatus.DELIVERED | ItemStatus.FAILED if course and _may_have_access(item):
            revoke_access(change, item)
        case (
            ItemStatus.UNDER_WAY
            | ItemStatus.WAITING_PARCEL
            | ItemStatus.WAITING_CODE
            | ItemStatus.DELIVERED
            | ItemStatus.FAILED
        ):
            _revoke_at_once(change, item)


def _may_have_access(item: Item) -> bool:
    return item.status is ItemStatus.DELIVERED or item.doubtful


def _revoke_at_once(change: Change, item: Item) -> None:
    """A download's link is dead from now on; a code that the customer has seen cannot be taken back, only marked."""
    pool = pool_of(item)
    if pool and item.doubtful and item.status is not ItemStatus.DELIVERED:
        change.operations.append(PutBackCodes(row_key(change.delivery.store, pool), change.context.key, item.id))
    change.put(change.strike_off(replace(item, status=ItemStatus.REVOKED, looking=False)))
    change.events.append(ItemRevoked(item=item.id))


@deliveries.on_old(RevokeAccess.Done)
def revoked(delivery: Delivery | None, outcome: RevokeAccess.Done, context: Context) -> Decision[Delivery]:
    """Also after a person had given it up: the customer has no access now."""
    delivery, item = affected(delivery, context)
    change = Change(delivery, context)
    if superseded(item, context):
        assert isinstance(context.operation, RevokeAccess)
        change.put(item.revoked_at(context.operation.url))
        return change.decision()
    if item.status in _WANTS_ACCESS:
        return _let_in_again(change, item)
    if item.status not in (ItemStatus.REVOKING, ItemStatus.REVOCATION_FAILED):
        return Decision(delivery)
    change.put(replace(item, status=ItemStatus.REVOKED, code="", text=""))
    change.events.append(ItemRevoked(item=item.id))
    return change.decision()


@deliveries.on_old(RevokeAccess.Failed, RevokeAccess.Unresolved)
def not_revoked(
    delivery: Delivery | None, outcome: RevokeAccess.Failed | RevokeAccess.Unresolved, context: Context
) -> Decision[Delivery]:
    """At a former URL as well, whatever has become of the item since."""
    delivery, item = affected(delivery, context)
    code, text = why(outcome)
    change = Change(delivery, context)
    if superseded(item, context):
        assert isinstance(context.operation, RevokeAccess)
        url = context.operation.url
        text = f"at the former URL {course_destination(url)}: {text}"[:2000]
        failed = item.unrevoked_at(url)
    elif item.status is ItemStatus.REVOKING:
        failed = replace(item, status=ItemStatus.REVOCATION_FAILED, code=code, text=text)
    elif item.status in _WANTS_ACCESS and isinstance(outcome, RevokeAccess.Unresolved):
        return _let_in_again(change, item)
    else:
        return Decision(delivery)
    change.put(failed.tried(tuple(context.attempts)))
    change.events.append(ItemRevocationFailed(item=item.id, code=code, text=text))
    return change.decision()


_WANTS_ACCESS = (ItemStatus.UNDER_WAY, ItemStatus.DELIVERED)


def _let_in_again(change: Change, item: Item) -> Decision[Delivery]:
    """The former URL of this revocation counts again: it came late, perhaps after the new grant."""
    grant_access(change, item)
    return change.decision()
