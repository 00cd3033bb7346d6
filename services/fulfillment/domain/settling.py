"""A person says what became of a delivery, or of taking it back, where nobody could find out; or did it by hand.

delivered:      under_way, failed ──► delivered           stopping ──► revoking
not_delivered:  under_way, failed ──► failed              stopping ──► revoked
revoked:        revoking, revocation_failed, stopping ──► revoked; also what was left at former URLs of any item
not_revoked:    revoking ──► revocation_failed
"""

from __future__ import annotations

from services.fulfillment.domain.deliveries import Change, deliveries
from services.fulfillment.domain.delivering import deliver, fail, revoke_access
from services.fulfillment.domain.staff import UNKNOWN_ORDER
from services.fulfillment.domain.states import CourseAccess, Delivery, Item, ItemStatus
from shared.contracts.fulfillment import ItemRevocationFailed, ItemRevoked, ItemSettled, SettleDelivery, SettledOutcome
from shared.contracts.values import Instructions
from shared.core import Context, Decision, Refused
from shared.core.fast_dataclasses import replace

SETTLED = "settled"
GRANTING = (ItemStatus.UNDER_WAY, ItemStatus.FAILED, ItemStatus.STOPPING)
REVOKING = (ItemStatus.REVOKING, ItemStatus.REVOCATION_FAILED)
FITTING: dict[SettledOutcome, tuple[ItemStatus, ...]] = {
    "delivered": GRANTING,
    "not_delivered": GRANTING,
    "revoked": (*REVOKING, ItemStatus.STOPPING),
    "not_revoked": REVOKING,
}


@deliveries.on_old(SettleDelivery)
def settle(delivery: Delivery | None, command: SettleDelivery, context: Context) -> Decision[Delivery] | Refused:
    if delivery is None:
        return UNKNOWN_ORDER
    item = delivery.item(command.item)
    if item is None:
        return Refused("unknown_item", f"The order has no item {command.item}.")
    refused = _why_not(item, command)
    if refused:
        return refused
    change = Change(delivery, context)
    change.events.append(ItemSettled(item=item.id, outcome=command.outcome, reason=command.reason))
    said = f"{context.actor}: {command.reason}"
    match command.outcome:
        case "delivered":
            _delivered(change, item)
        case "not_delivered":
            _not_delivered(change, item, said)
        case "revoked":
            _revoked(change, replace(item, unrevoked=()))
        case "not_revoked":
            _not_revoked(change, item, said)
    return change.decision()


def _why_not(item: Item, command: SettleDelivery) -> Refused | None:
    if command.outcome == "revoked" and item.unrevoked:
        return None
    if not isinstance(item.action, CourseAccess):
        return Refused(
            "nothing_to_settle",
            f"Item {item.id} is not delivered by another system: ship it, or retry it, which is safe.",
        )
    known = item.status is ItemStatus.FAILED and command.outcome == "not_delivered" and not item.doubtful
    if item.status in FITTING[command.outcome] and not known:
        return None
    return Refused("nothing_to_settle", f"Item {item.id} is {item.status}: {command.outcome} would change nothing.")


def _delivered(change: Change, item: Item) -> None:
    if item.status is ItemStatus.STOPPING:
        revoke_access(change, item)
        return
    assert isinstance(item.action, CourseAccess)
    deliver(change, item, Instructions(kind="course", link=item.action.enter))


def _not_delivered(change: Change, item: Item, said: str) -> None:
    """While a call for it still waits, calling off must take back whatever that comes to."""
    if item.status is ItemStatus.STOPPING:
        _revoked(change, item)
    elif item.status is ItemStatus.UNDER_WAY:
        fail(change, item, SETTLED, said, doubtful=True)
    else:
        change.put(replace(item, doubtful=False, code=SETTLED, text=said))


def _revoked(change: Change, item: Item) -> None:
    change.put(item)
    if item.status not in FITTING["revoked"]:
        return
    change.put(replace(item, status=ItemStatus.REVOKED, code="", text=""))
    change.events.append(ItemRevoked(item=item.id))


def _not_revoked(change: Change, item: Item, said: str) -> None:
    first = item.status is ItemStatus.REVOKING
    change.put(replace(item, status=ItemStatus.REVOCATION_FAILED, code=SETTLED, text=said))
    if first:  # otherwise everybody knows already
        change.events.append(ItemRevocationFailed(item=item.id, code=SETTLED, text=said))
