"""Files that staff attach to an item, made to order: sent as links of their own, which end with the item."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange, name_of
from services.fulfillment.domain.delivery import CANCELLED, AttachedFile, Delivery, Item, deliveries
from services.fulfillment.domain.file_operations import SignFile
from shared.contracts.delivery_work import AttachDelivery, DeliveryNoted, DeliveryResent, ResentItem
from shared.contracts.values import Instructions
from shared.core import Context, Decision

ORDERS = ".orders/"


def is_of_another(file: str, order: str) -> bool:
    """Whether it was uploaded for another order, or its name is not written plainly."""
    strange = bool({"", ".", ".."} & set(file.split("/")))
    return strange or (file.startswith(ORDERS) and not file.startswith(f"{ORDERS}{order}/"))


def attach_file(change: DeliveryChange, item: Item, command: AttachDelivery) -> Item:
    assert command.file
    name = command.file_name or command.file.rpartition("/")[2]
    given = AttachedFile(command.file, name, command.note, command.expires_after)
    others = tuple(file for file in item.files if file.file != given.file)
    return change.update_item(item, files=(*others, given))


def send_file(change: DeliveryChange, item: Item, file: AttachedFile) -> None:
    """A new link to the customer."""
    expires = change.context.at + file.expires_after
    change.request(SignFile(change.context.key, item.id, file.file, expires))


@deliveries.answers(SignFile.Done)
def file_signed(delivery: Delivery, sign: SignFile, outcome: SignFile.Done, context: Context) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    item = change.item(sign.item)
    file = item.attached_file(sign.file)
    if file and item.status not in CANCELLED:  # otherwise revoked meanwhile: the link is never published
        given = Instructions(kind="download", link=outcome.link, expires=sign.expires, note=file.note or None)
        change.publish(DeliveryResent(items=(ResentItem(item=item.about, instructions=given, name=name_of(item)),)))
    return change.decision()


@deliveries.answers(SignFile.Failed, SignFile.Unresolved)
def file_not_signed(
    delivery: Delivery, sign: SignFile, outcome: SignFile.Failed | SignFile.Unresolved, context: Context
) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    item = change.item(sign.item)
    text = f"The link to {sign.file} could not be made. Send the item again."
    change.publish(DeliveryNoted(action="resend_failed", items=(item.about,), text=text))
    return change.decision()
