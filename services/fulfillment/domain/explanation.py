"""Why an order's delivery is where it is: what it waits for, and which commands would be accepted now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, Stage, deliveries
from services.fulfillment.domain.settlement import GRANTING, REVOKING
from services.fulfillment.domain.staff_waits import waits_for_staff
from shared.contracts.codes import ProvideCode
from shared.contracts.delivery_work import (
    GrantAgainDelivery,
    HoldDelivery,
    MarkDeliveredDelivery,
    ReleaseDelivery,
    ResendDelivery,
    RevokeDelivery,
    StartDelivery,
)
from shared.contracts.fulfillment import RedemptionCode, RetryDelivery, SettleDelivery, SettledOutcome, ShipOrder
from shared.core import Command
from shared.core.dry_run import Rows, possible
from shared.core.explanation import Explanation, Waits

FOLLOWING: Mapping[Stage, tuple[Stage, ...]] = {
    Stage.PLACED: (Stage.CANCELLED, Stage.PAID),
    Stage.PAID: (Stage.CANCELLED,),
    Stage.REFUSED: (),
    Stage.CANCELLED: (),
}
MOST = 50
"""Items of which it is said what they wait for."""
WHY = "An example."
_WORDS: Mapping[ItemStatus, str] = {
    ItemStatus.IN_PROGRESS: "deliver it",
    ItemStatus.WAITING_PARCEL: "send it",
    ItemStatus.WAITING_CODE: "add codes to its pool, or provide one",
    ItemStatus.WAITING_TASK: "do it, and mark it as delivered",
    ItemStatus.WAITING_SETUP: "configure its product, and retry it",
    ItemStatus.WAITING_OUTSIDE: "deliver it; it is tried again",
    ItemStatus.FAILED: "fix it and retry it, or settle it",
    ItemStatus.STOPPING: "end what gives access, and revoke it",
    ItemStatus.REVOKING: "revoke access",
    ItemStatus.REVOCATION_FAILED: "revoke access where it was given, and settle it",
}
_OF_STAFF = (ItemStatus.WAITING_PARCEL, ItemStatus.WAITING_CODE)


def explanation(delivery: Delivery, key: str, at: datetime, rows: Rows) -> Explanation:
    """`rows`: those that `commands` need."""
    return Explanation(
        state=delivery.stage.value,
        why=_why(delivery),
        waits=[*_waits(delivery)],
        following=[stage.value for stage in FOLLOWING[delivery.stage]],
        commands=[*possible(deliveries, delivery, commands(delivery), key, at, rows)],
    )


def _why(delivery: Delivery) -> str:
    if delivery.stage is Stage.REFUSED:
        return "Not enough units were in stock: nothing is reserved."
    return delivery.why_not_begun.text if delivery.stage is Stage.PAID and delivery.why_not_begun else ""


def _waits(delivery: Delivery) -> Iterator[Waits]:
    if delivery.stage is Stage.PLACED:
        yield Waits("customer", "Pay: nothing is delivered before.")
    if delivery.stage is Stage.PAID and delivery.held:
        yield Waits("staff", "Release it: it is held for verification.")
    elif delivery.stage is Stage.PAID and delivery.to_start:
        yield Waits("staff", "Start its delivery.")
    waiting = [item for item in delivery.items if item.status in _WORDS or item.is_left_elsewhere]
    for item in waiting[:MOST]:
        yield _of_item(item)
    if len(waiting) > MOST:
        yield Waits("fulfillment", f"{len(waiting) - MOST} more items.")


def _of_item(item: Item) -> Waits:
    words = _WORDS.get(item.status, "revoke what its former action gave, and settle it")
    text = f" ({item.text})" if item.text and item.status is not ItemStatus.WAITING_PARCEL else ""
    what = f"{item.product} (item {item.id}): {words}.{text}"
    if waits_for_staff(item) or item.status in _OF_STAFF:
        return Waits("staff", what)
    return Waits("outside" if item.status is ItemStatus.WAITING_OUTSIDE else "fulfillment", what)


def commands(delivery: Delivery) -> list[Command]:
    """What staff may send, as it would be sent for all of the order, or for the first item that it could be meant
    for."""
    found: list[Command] = [
        ShipOrder(carrier="DHL", tracking="1"),
        RetryDelivery(),
        MarkDeliveredDelivery(reason=WHY),
        ResendDelivery(reason=WHY),
        RevokeDelivery(reason=WHY),
        GrantAgainDelivery(reason=WHY),
        HoldDelivery(reason=WHY),
        ReleaseDelivery(reason=WHY),
        StartDelivery(reason=WHY),
    ]
    return [*found, *_of_one(delivery)]


def _of_one(delivery: Delivery) -> Iterator[Command]:
    for item in delivery.items:
        if isinstance(item.action, RedemptionCode) and item.lacks_code:
            codes = tuple(f"code-{number}" for number in range(1, item.quantity * item.action.per_unit + 1))
            if len(codes) <= MOST:
                yield ProvideCode(item=item.about, execution=item.id, codes=codes, reason=WHY)
            break
    for item in delivery.items:
        if item.status in (*GRANTING, *REVOKING):
            outcome: SettledOutcome = "revoked" if item.status in REVOKING else "delivered"
            yield SettleDelivery(item=item.about, execution=item.id, outcome=outcome, reason=WHY)
            break
