"""Examples of the messages in `shared/contracts/delivery_work.py`."""

from __future__ import annotations

from shared.contracts import delivery_work
from shared.contracts.examples.order import LINK
from shared.core import Message

EXAMPLES: tuple[Message, ...] = (
    delivery_work.MarkDeliveredDelivery(
        items=("2",), note="The maps were sent to you in person.", reason="Met Ada at the fair."
    ),
    delivery_work.ResendDelivery(items=("2",), reason="Ada lost the email."),
    delivery_work.RevokeDelivery(items=("2",), reason="The link was shared."),
    delivery_work.GrantAgainDelivery(items=("2",), reason="It was a mistake."),
    delivery_work.AttachDelivery(item="2", link="https://northwind.example/map-of-leeds.pdf", reason="Made to order."),
    delivery_work.HoldDelivery(reason="The address looks odd."),
    delivery_work.ReleaseDelivery(reason="Ada has confirmed it."),
    delivery_work.StartDelivery(reason="Printed and packed."),
    delivery_work.ReturnDelivery(
        items=(delivery_work.ReturnedLine(item="1", quantity=1, amount=2400),), refund=True, reason="Unread."
    ),
    delivery_work.ParcelDelivered(parcel="1", reason="Royal Mail: left with a neighbour."),
    delivery_work.DeliveryNoted(action="marked_delivered", items=("2",), text="Met Ada at the fair."),
    delivery_work.DeliveryResent(items=(delivery_work.ResentItem(item="2", instructions=LINK),)),
    delivery_work.ItemReturned(item="1", quantity=1, returned=1, whole=False, resaleable=True, reason="Unread."),
)
