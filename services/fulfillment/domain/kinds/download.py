"""Downloads: a signed link that expires."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange, reason_of
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, deliveries
from services.fulfillment.domain.kind import Kind
from services.fulfillment.domain.operations import SignDownload
from shared.contracts.delivery_work import DeliveryNoted
from shared.contracts.fulfillment import Download
from shared.contracts.values import Instructions
from shared.core import Context, Decision


class DownloadKind(Kind[Download]):
    """It can be downloaded only while its item is delivered, so that revoking it needs no call."""

    ended_by = (SignDownload,)

    def begin(self, change: DeliveryChange, item: Item, action: Download) -> None:
        change.request(SignDownload(change.context.key, item.id, change.context.at + action.expires_after))

    def resend(self, change: DeliveryChange, item: Item) -> None:
        """With a new link."""
        if isinstance(item.action, Download) and item.instructions and item.instructions.kind == "download":
            self.begin(change, item, item.action)
        else:  # staff delivered it by hand
            super().resend(change, item)


DOWNLOAD = DownloadKind()


@deliveries.answers(SignDownload.Done)
def link_signed(
    delivery: Delivery, sign: SignDownload, outcome: SignDownload.Done, context: Context
) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    item = change.item(sign.item)
    given = Instructions(kind="download", link=outcome.link, expires=sign.expires)
    if item.status is ItemStatus.IN_PROGRESS:  # otherwise cancelled meanwhile: the link is never published
        change.deliver_item(item, given)
    elif item.status is ItemStatus.DELIVERED:
        change.resend_item(change.update_item(item, instructions=given))
    return change.decision()


@deliveries.answers(SignDownload.Failed, SignDownload.Unresolved)
def link_not_signed(
    delivery: Delivery,
    sign: SignDownload,
    outcome: SignDownload.Failed | SignDownload.Unresolved,
    context: Context,
) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    item = change.item(sign.item)
    if item.status is ItemStatus.IN_PROGRESS:
        change.fail_item(item, *reason_of(outcome))
    elif item.status is ItemStatus.DELIVERED:
        change.publish(DeliveryNoted(action="resend_failed", items=(item.about,), text=reason_of(outcome)[1]))
    return change.decision()
