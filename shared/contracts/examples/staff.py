"""Examples of the messages in `shared/contracts/staff.py`."""

from __future__ import annotations

from shared.contracts import staff
from shared.contracts.examples.order import COMMAND
from shared.core import Message

EXAMPLES: tuple[Message, ...] = (
    staff.SaveView(
        name="Paid in Finland",
        filters=("status=processing", "country=FI"),
        sort="-placed_at",
        columns=("number", "placed_at", "customer", "total"),
        shared=True,
    ),
    staff.RemoveView(),
    staff.ViewSaved(name="Paid in Finland", list="orders", shared=True),
    staff.ViewRemoved(name="Paid in Finland"),
    staff.StaffRefused(
        command="view.remove", command_id=COMMAND, code="unknown_view", text="The store has no saved view vip."
    ),
)
