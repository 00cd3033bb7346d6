"""Units of a SKU that are counted."""

from __future__ import annotations

from dataclasses import dataclass

from services.fulfillment.domain.keys import wrong_key
from shared.contracts.fulfillment import ReceiveStock
from shared.core import Context, Core, Decision, Refused
from shared.core.fast_dataclasses import replace


@dataclass(frozen=True, slots=True)
class Stock:
    """Units of one SKU. Key: `<store>/<sku>`. Always 0 ≤ reserved ≤ on_hand ≤ received - written_off."""

    on_hand: int = 0
    reserved: int = 0
    received: int = 0
    """All units received so far."""
    written_off: int = 0
    """Units of refunded items that were not put back."""

    def __post_init__(self) -> None:
        if not 0 <= self.reserved <= self.on_hand <= self.received - self.written_off:
            raise ValueError(f"stock out of balance: {self.reserved} reserved, {self.on_hand} on hand")

    @property
    def free(self) -> int:
        return self.on_hand - self.reserved

    def receive(self, units: int) -> Stock:
        return replace(self, on_hand=self.on_hand + units, received=self.received + units)

    def reserve(self, units: int) -> Stock:
        return replace(self, reserved=self.reserved + units)

    def release(self, units: int) -> Stock:
        return replace(self, reserved=self.reserved - units)

    def take(self, units: int) -> Stock:
        return replace(self, on_hand=self.on_hand - units, reserved=self.reserved - units)

    def restock(self, units: int) -> Stock:
        return replace(self, on_hand=self.on_hand + units)

    def write_off(self, units: int) -> Stock:
        return replace(self, written_off=self.written_off + units)


stocks = Core(Stock)


@stocks.begins(ReceiveStock)
def received(stock: Stock | None, command: ReceiveStock, context: Context) -> Decision[Stock] | Refused:
    if not command.quantity:
        return Refused("no_quantity", "Specify at least one unit.")
    return wrong_key(context.key, "<store>/<sku>") or Decision((stock or Stock()).receive(command.quantity))
