"""Examples of the messages in `shared/contracts/delivery_work.py`."""

from __future__ import annotations

from datetime import timedelta

from shared.contracts import delivery_work
from shared.contracts.examples.order import LINK, PAID
from shared.core import Message

EXAMPLES: tuple[Message, ...] = (
    delivery_work.MarkDeliveredDelivery(
        items=("2",), note="The maps were sent to you in person.", reason="Met Ada at the fair."
    ),
    delivery_work.ResendDelivery(items=("2",), reason="Ada lost the email."),
    delivery_work.RevokeDelivery(items=("2",), reason="The link was shared."),
    delivery_work.GrantAgainDelivery(items=("2",), reason="It was a mistake."),
    delivery_work.AttachDelivery(
        item="2",
        file=".orders/o-1/0d5f2c4e",
        file_name="Portrait of Ada.pdf",
        note="Print it on A3.",
        expires_after=timedelta(days=30),
        reason="Made to order.",
    ),
    delivery_work.RenewDownload(item="2", reason="Ada was on holiday.", file=".orders/o-1/0d5f2c4e"),
    delivery_work.HoldDelivery(reason="The address looks odd."),
    delivery_work.ReleaseDelivery(reason="Ada has confirmed it."),
    delivery_work.StartDelivery(reason="Printed and packed."),
    delivery_work.ReturnDelivery(
        items=(delivery_work.ReturnedLine(item="1", quantity=1, amount=2400),), refund=True, reason="Unread."
    ),
    delivery_work.ParcelDelivered(parcel="1", reason="Royal Mail: left with a neighbour."),
    delivery_work.DeliveryNoted(action="marked_delivered", items=("2",), text="Met Ada at the fair."),
    delivery_work.DeliveryResent(items=(delivery_work.ResentItem(item="2", instructions=LINK),)),
    delivery_work.DeliveryWaitsForStaff(
        what="Printable maps", text="Printable maps, for 3 days: Draw the map.", since=PAID, again=True
    ),
    delivery_work.ItemReturned(item="1", quantity=1, returned=1, whole=False, resaleable=True, reason="Unread."),
    delivery_work.OrderWaitsForStaff(
        what="Printable maps", text="Printable maps, for 3 days: Draw the map.", since=PAID, again=True
    ),
)
