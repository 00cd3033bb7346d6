"""How a decision about an order is put together, so that none forgets its status record, nor what staff's
timeline is to tell of it."""

from __future__ import annotations

from typing import Any

from services.checkout.domain.order import Extra, Line, Order, moved
from services.checkout.domain.person import OrderKept, without_person
from services.checkout.domain.status import ENDED
from services.checkout.domain.status_record import status_record
from services.checkout.domain.timeline import LONGEST_TEXT, noted
from shared.contracts.checkout import OrderDeliveryResumed, OrderRefunded, OrderRefundFailed
from shared.contracts.order_work import OrderNoted
from shared.contracts.values import OrderStatus
from shared.core import Change, Context, Decision
from shared.core.fast_dataclasses import replace

WITH_STATUS = (OrderDeliveryResumed, OrderRefunded, OrderRefundFailed)
"""Events that do not tell the order's status by themselves: it is in them."""


class OrderChange(Change[Order]):
    """An order that is new or changed gets one revision more, and its status record as the last event."""

    def __init__(self, order: Order, context: Context) -> None:
        super().__init__(order, context)
        self._received: tuple[str, str, dict[str, Any]] = ("", "", {})
        self._noted: list[OrderNoted] = []

    def move_to(self, status: OrderStatus, message: str | None = None) -> None:
        self.state = moved(self.state, status, self.context.at, message)

    def set_line(self, line: Line) -> None:
        self.state = self.state.with_line(line)

    def set_part(self, part: Line | Extra, **fields: Any) -> None:
        """Change a line or an extra."""
        changed = replace(part, **fields)
        if "trouble" in fields:
            same = part.trouble_since if part.delivery is changed.delivery else None
            changed = replace(changed, trouble_since=(same or self.context.at) if changed.trouble else None)
        self.state = self.state.with_part(changed)

    def received(self, what: str, text: str, /, **detail: Any) -> None:
        """What the message says, to be told if it has no effect."""
        self._received = what, text, detail

    def note(self, what: str, text: str, /, **detail: Any) -> None:
        """Tell what no other event says, for the timeline."""
        self._noted.append(noted(self.context, what, text, **detail))

    def without_effect(self, why: str = "") -> Decision[Order]:
        """The message came too late, or again, and changes nothing. `why`: if not because of the order's status."""
        what, text, detail = self._received
        because = f"(No effect: {why or f'the order is {self.state.status_in_words}'}.)"
        self.note(what, f"{text[: LONGEST_TEXT - len(because) - 1]} {because}", **detail)
        return self.decision()

    def decision(self) -> Decision[Order]:
        status = {"status": self.state.status}
        self.events = [it.model_copy(update=status) if isinstance(it, WITH_STATUS) else it for it in self.events]
        self.publish(*self._noted)
        if self.changed and self.state.erased_at:
            self.state = without_person(self.state)
        self._keep()
        if self.changed or not self.state.revision:
            self.set(revision=self.context.revised(self.state.revision), updated_at=self.context.at)
            self.publish(status_record(self.state))
        return super().decision()

    def _keep(self) -> None:
        """From each end of the order on, as its store wanted it when it was placed."""
        kept, status = self.state.store.keep_orders, self.state.status
        if kept and not self.state.erased_at and status is not self.before.status and status in ENDED:
            self.timer(self.context.at + kept, OrderKept())
