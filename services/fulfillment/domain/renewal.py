"""Links to downloads that staff make again, for a customer whose link has expired."""

from __future__ import annotations

from services.fulfillment.domain.attached_files import send_file
from services.fulfillment.domain.by_hand import wrong_stage
from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import CANCELLED, Delivery, Item, ItemStatus, deliveries
from services.fulfillment.domain.kinds import kind_of
from shared.contracts.delivery_work import DeliveryNoted, RenewDownload
from shared.contracts.fulfillment import Download
from shared.core import Context, Decision, Refused


@deliveries.on(RenewDownload)
def renewed(delivery: Delivery, command: RenewDownload, context: Context) -> Decision[Delivery] | Refused:
    if wrong := wrong_stage(delivery):
        return wrong
    item = delivery.find(command.item)
    if item is None:
        return Refused("unknown_item", f"The order has no item {command.item}.")
    if item.status in CANCELLED:
        return Refused("item_revoked", f"Item {item.id} was refunded or revoked.")
    files = [file for file in item.files if command.file in (None, file.file)]
    is_bought = command.file is None and _has_download(item)
    if not (files or is_bought):
        what = f"file {command.file}" if command.file else "download"
        return Refused("nothing_to_renew", f"The customer has no {what} of item {item.id}.")
    change = DeliveryChange(delivery, context)
    change.publish(DeliveryNoted(action="resent", items=(item.about,), text=command.reason))
    if is_bought:
        kind_of(item).resend(change, item)
    for file in files:
        send_file(change, item, file)
    return change.decision()


def _has_download(item: Item) -> bool:
    """Not what staff gave by hand in its place."""
    is_link = item.instructions is not None and item.instructions.kind == "download"
    return item.status is ItemStatus.DELIVERED and isinstance(item.action, Download) and is_link
