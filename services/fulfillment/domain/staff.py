"""What staff ask: ship a parcel, try a delivery again."""

from __future__ import annotations

from collections.abc import Iterable

from services.fulfillment.domain.deliveries import Change, current_products, deliveries, joined_pools
from services.fulfillment.domain.delivering import begin, configured, deliver, revocation, revoke_access
from services.fulfillment.domain.states import Action, Delivery, Item, ItemStatus, Shipment, Stage
from shared.contracts.fulfillment import CourseAccess, ItemRetried, RetryDelivery, ShipOrder
from shared.contracts.values import Instructions
from shared.core import Context, Decision, Problem, Refused
from shared.core.fast_dataclasses import replace

UNKNOWN_ORDER = Refused("unknown_order", "Fulfillment does not know this order; it is known once it is placed.")
CALLED_OFF = (ItemStatus.STOPPING, ItemStatus.REVOKING, ItemStatus.REVOKED, ItemStatus.REVOCATION_FAILED)


@deliveries.on_old(ShipOrder)
def ship(delivery: Delivery | None, command: ShipOrder, context: Context) -> Decision[Delivery] | Refused:
    if delivery is None:
        return UNKNOWN_ORDER
    if delivery.stage is Stage.PLACED:
        return Refused("not_paid", "The order is not paid yet; ship it once it is.")
    if delivery.stage is not Stage.PAID:
        return Refused("order_cancelled", "The order is cancelled; do not ship it.")
    waiting = [item.id for item in delivery.items if item.status is ItemStatus.WAITING_PARCEL]
    ids = tuple(dict.fromkeys(command.items)) or tuple(waiting)
    if not ids:
        return Refused("nothing_to_ship", "No item of the order waits for a parcel.")
    problems = [problem for id in ids if (problem := _why_not_shippable(delivery.item(id), id))]
    if problems:
        return _refused(problems)
    change = Change(delivery, context)
    sent = Instructions(kind="shipment", carrier=command.carrier, tracking=command.tracking)
    for item in _items(delivery, ids):
        deliver(change, item, sent)
    return change.decision()


def _why_not_shippable(item: Item | None, id: str) -> Problem | None:
    if item is None:
        return _problem(id, "unknown_item", "the order has no such item")
    if item.status is ItemStatus.WAITING_PARCEL:
        return None
    if item.status in CALLED_OFF:
        return _problem(id, "item_revoked", "it was refunded")
    if not isinstance(item.effective_action(), Shipment):
        return _problem(id, "not_a_shipment", "it is not delivered by parcel")
    return _problem(id, "already_shipped", "it was shipped already")


@deliveries.on_old(RetryDelivery, looks_up=current_products, holds=joined_pools)
def retry(delivery: Delivery | None, command: RetryDelivery, context: Context) -> Decision[Delivery] | Refused:
    """With what the products say today; the settings of the failed attempt are replaced for good."""
    if delivery is None:
        return UNKNOWN_ORDER
    change = Change(delivery, context)
    ids = tuple(dict.fromkeys(command.items)) or tuple(item.id for item in delivery.items if _retryable(change, item))
    problems = [problem for id in ids if (problem := _why_not_retryable(change, delivery.item(id), id))]
    if problems:
        return _refused(problems)
    if not ids:
        return Refused("nothing_to_retry", "No item of the order has failed or waits for a code.")
    for item in _items(delivery, ids):
        if item.status is ItemStatus.REVOCATION_FAILED:
            revoke_access(change, item)
        elif _undelivered(change, item):
            change.events.append(ItemRetried(item=item.id))
            action = configured(change, item) or item.action
            _take_back_elsewhere(change, item, action)
            begin(change, change.strike_off(_perhaps_done(item)), action)
        _take_back_again(change, item.id)
    return change.decision()


def _take_back_elsewhere(change: Change, item: Item, action: Action | None) -> None:
    """A grant of unknown outcome, where the item is delivered in another way from now on. What still waits is taken
    back once its outcome comes."""
    before = item.action
    if item.status is not ItemStatus.FAILED or not item.doubtful or not isinstance(before, CourseAccess):
        return
    if not isinstance(action, CourseAccess) or action.url != before.url:
        change.operations.append(revocation(change, item, before.url))


def _take_back_again(change: Change, id: str) -> None:
    """What could not be taken back at former URLs."""
    item = change.delivery.item(id)
    assert item is not None
    change.operations += [revocation(change, item, url) for url in item.unrevoked]
    change.put(replace(item, unrevoked=()))


def _perhaps_done(item: Item) -> Item:
    """The call to the wrong URL may have been carried out all the same."""
    return replace(item, doubtful=True) if item.status is ItemStatus.UNDER_WAY else item


def _retryable(change: Change, item: Item) -> bool:
    return item.status is ItemStatus.REVOCATION_FAILED or bool(item.unrevoked) or _undelivered(change, item)


def _undelivered(change: Change, item: Item) -> bool:
    """Whether its delivery can be begun anew."""
    if item.status is ItemStatus.WAITING_CODE:
        return not item.looking
    if item.status is ItemStatus.UNDER_WAY:
        return _corrected(change, item)
    return item.status is ItemStatus.FAILED


def _corrected(change: Change, item: Item) -> bool:
    """Whether the product of a course that is being granted has got another URL: the call may wait at a wrong one."""
    today = configured(change, item)
    return isinstance(item.action, CourseAccess) and today is not None and today != item.action


def _why_not_retryable(change: Change, item: Item | None, id: str) -> Problem | None:
    if item is None:
        return _problem(id, "unknown_item", "the order has no such item")
    if _retryable(change, item):
        return None
    return _problem(id, "nothing_to_retry", "it has neither failed nor does it wait for a code")


def _items(delivery: Delivery, ids: Iterable[str]) -> list[Item]:
    return [item for item in map(delivery.item, ids) if item is not None]


def _problem(item: str, code: str, text: str) -> Problem:
    return Problem(field=f"items.{item}", code=code, text=f"item {item}: {text}")


def _refused(problems: list[Problem]) -> Refused:
    return Refused(problems[0].code, "; ".join(problem.text for problem in problems[:20]), tuple(problems))
