"""Retries: staff have an item delivered, or its access revoked, again."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.course import revoke_access, revoke_at
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, deliveries
from services.fulfillment.domain.locks import current_products, queues
from services.fulfillment.domain.selection import item_problem, select_items
from services.fulfillment.domain.start import configured_action, start_item
from shared.contracts.fulfillment import Action, CourseAccess, ItemRetried, RetryDelivery
from shared.core import Context, Decision, Problem, Refused

NOTHING_TO_RETRY = Refused("nothing_to_retry", "No item of the order has failed or is waiting for a code.")


@deliveries.on(RetryDelivery, locks=queues, reads=current_products)
def retried(delivery: Delivery, command: RetryDelivery, context: Context) -> Decision[Delivery] | Refused:
    """With what the products say now; the settings of the failed attempt are replaced for good."""
    change = DeliveryChange(delivery, context)
    items = select_items(delivery, command.items, lambda item: _retry_problem(change, item), NOTHING_TO_RETRY)
    if isinstance(items, Refused):
        return items
    for item in items:
        if item.status is ItemStatus.REVOCATION_FAILED and isinstance(item.action, CourseAccess):
            revoke_access(change, item, item.action)
        elif _is_undelivered(change, item):
            _restart_item(change, item)
        _revoke_former_access(change, change.item(item.id))
    return change.decision()


def _retry_problem(change: DeliveryChange, item: Item) -> Problem | None:
    if item.status is ItemStatus.REVOCATION_FAILED or item.unrevoked or _is_undelivered(change, item):
        return None
    text = f"Item {item.id} cannot be retried: it has not failed and is not waiting for a code."
    return item_problem(item.id, "nothing_to_retry", text)


def _is_undelivered(change: DeliveryChange, item: Item) -> bool:
    """Its delivery can be started again."""
    in_progress = item.status is ItemStatus.IN_PROGRESS
    return item.status is ItemStatus.FAILED or item.lacks_code or (in_progress and _is_corrected(change, item))


def _is_corrected(change: DeliveryChange, item: Item) -> bool:
    """The product of a course has changed: the call in progress may be waiting at a wrong URL."""
    configured = configured_action(change, item)
    return isinstance(item.action, CourseAccess) and configured is not None and configured != item.action


def _restart_item(change: DeliveryChange, item: Item) -> None:
    change.publish(ItemRetried(item=item.id))
    action = configured_action(change, item) or item.action
    _revoke_grant_in_doubt(change, item, action)
    if item.status is ItemStatus.IN_PROGRESS:  # the call to the wrong URL may be carried out all the same
        item = change.update_item(item, in_doubt=True)
    start_item(change, change.leave_queue(item), action)


def _revoke_grant_in_doubt(change: DeliveryChange, item: Item, action: Action | None) -> None:
    """Where the item is delivered in another way from now on. That of a call in progress is revoked once its outcome
    is there."""
    former, url = item.action, action.url if isinstance(action, CourseAccess) else None
    if item.status is ItemStatus.FAILED and item.in_doubt and isinstance(former, CourseAccess) and former.url != url:
        revoke_at(change, item, former.url)


def _revoke_former_access(change: DeliveryChange, item: Item) -> None:
    for url in item.unrevoked:
        revoke_at(change, item, url)
    change.update_item(item, unrevoked=())
