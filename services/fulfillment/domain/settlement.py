"""Manual settlement of what another system delivers: where its outcome is unknown, or staff did it themselves.

delivered:      in_progress, failed ──► delivered         stopping ──► revoking
not_delivered:  in_progress, failed ──► failed            stopping ──► revoked
revoked:        revoking, revocation_failed, stopping ──► revoked; also what is left of former actions of any item
not_revoked:    revoking ──► revocation_failed
"""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, deliveries
from services.fulfillment.domain.kinds import kind_of
from shared.contracts.fulfillment import (
    ItemRevocationFailed,
    ItemSettled,
    SettleDelivery,
    SettledOutcome,
)
from shared.core import Context, Decision, Refused

SETTLED = "settled"
GRANTING = (ItemStatus.IN_PROGRESS, ItemStatus.FAILED, ItemStatus.STOPPING)
REVOKING = (ItemStatus.REVOKING, ItemStatus.REVOCATION_FAILED)
SETTLEABLE: dict[SettledOutcome, tuple[ItemStatus, ...]] = {
    "delivered": GRANTING,
    "not_delivered": GRANTING,
    "revoked": (*REVOKING, ItemStatus.STOPPING),
    "not_revoked": REVOKING,
}


@deliveries.on(SettleDelivery)
def settled(delivery: Delivery, command: SettleDelivery, context: Context) -> Decision[Delivery] | Refused:
    item = _settled_by(command, delivery)
    if isinstance(item, Refused):
        return item
    change, text = DeliveryChange(delivery, context), f"{context.actor}: {command.reason}"
    change.publish(ItemSettled(item=item.about, outcome=command.outcome, reason=command.reason))
    match command.outcome:
        case "delivered":
            kind_of(item).settle_as_delivered(change, item)
        case "not_delivered":
            _settle_as_not_delivered(change, item, text)
        case "revoked":
            _settle_as_revoked(change, change.update_item(item, unrevoked=(), former=()))
        case "not_revoked":
            _settle_as_not_revoked(change, item, text)
    return change.decision()


def _settled_by(command: SettleDelivery, delivery: Delivery) -> Item | Refused:
    """The execution that is meant: of an item's, the only one that the command would change."""
    named = [item for item in delivery.items if item.id == command.execution and item.about == command.item]
    if command.execution is None:
        named = delivery.named(command.item)
    if not named:
        what = f"item {command.item}" if command.execution is None else f"execution {command.execution} of it"
        return Refused("unknown_item", f"The order has no {what}.")
    refusals = [_refusal(item, command.outcome) for item in named]
    meant = [item for item, refused in zip(named, refusals, strict=True) if refused is None]
    if len(meant) > 1:
        ids = ", ".join(item.id for item in meant)
        return Refused(
            "several_executions", f"Item {command.item} has several that could be meant: say which execution, of {ids}."
        )
    return meant[0] if meant else next(refused for refused in refusals if refused)


def _refusal(item: Item, outcome: SettledOutcome) -> Refused | None:
    if outcome == "revoked" and item.is_left_elsewhere:
        return None
    if not kind_of(item).settleable:
        text = f"Item {item.id} is not delivered by another system. Ship it, or retry it, which is safe."
        return Refused("nothing_to_settle", text)
    known = item.status is ItemStatus.FAILED and outcome == "not_delivered" and not item.in_doubt
    if item.status in SETTLEABLE[outcome] and not known:
        return None
    text = f"Item {item.id} is {item.status}. Settling it as {outcome} would change nothing."
    return Refused("nothing_to_settle", text)


def _settle_as_not_delivered(change: DeliveryChange, item: Item, text: str) -> None:
    """While a call for it is in progress, a cancellation must revoke what that may grant."""
    if item.status is ItemStatus.STOPPING:
        change.mark_revoked(item, code="", text="")
    elif item.status is ItemStatus.IN_PROGRESS:
        change.fail_item(item, SETTLED, text, in_doubt=True)
    else:
        change.update_item(item, in_doubt=False, code=SETTLED, text=text)


def _settle_as_revoked(change: DeliveryChange, item: Item) -> None:
    if item.status in SETTLEABLE["revoked"]:
        change.mark_revoked(item, code="", text="")


def _settle_as_not_revoked(change: DeliveryChange, item: Item, text: str) -> None:
    news = item.status is ItemStatus.REVOKING  # otherwise it is known already
    change.update_item(item, status=ItemStatus.REVOCATION_FAILED, code=SETTLED, text=text, in_doubt=False)
    if news:
        change.publish(ItemRevocationFailed(item=item.about, code=SETTLED, text=text))
