"""Downloads: a signed link that expires."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange, reason_of
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, deliveries
from services.fulfillment.domain.kind import Kind
from services.fulfillment.domain.operations import SignDownload
from shared.contracts.fulfillment import Download
from shared.contracts.values import Instructions
from shared.core import Context, Decision


class DownloadKind(Kind[Download]):
    """It can be downloaded only while its item is delivered, so that revoking it needs no call."""

    ended_by = (SignDownload,)

    def begin(self, change: DeliveryChange, item: Item, action: Download) -> None:
        change.request(SignDownload(change.context.key, item.id, change.context.at + action.expires_after))


DOWNLOAD = DownloadKind()


@deliveries.answers(SignDownload.Done)
def link_signed(
    delivery: Delivery, sign: SignDownload, outcome: SignDownload.Done, context: Context
) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    item = change.item(sign.item)
    if item.status is ItemStatus.IN_PROGRESS:  # otherwise cancelled meanwhile: the link is never published
        change.deliver_item(item, Instructions(kind="download", link=outcome.link, expires=sign.expires))
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
    return change.decision()
