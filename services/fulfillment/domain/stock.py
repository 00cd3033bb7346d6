"""Units of a SKU that are counted, and the history of their number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.fulfillment.domain.keys import wrong_key
from shared.contracts.fulfillment import ReceiveStock
from shared.contracts.stock import AdjustStock, SetStock
from shared.core import Change, Context, Core, Decision, Record, Refused
from shared.core.fast_dataclasses import replace

MOST_ON_HAND = 10**12


@dataclass(frozen=True, slots=True)
class Stock:
    """Units of one SKU. Key: `<store>/<sku>`. Always 0 ≤ reserved ≤ on_hand ≤ received - written_off."""

    on_hand: int = 0
    reserved: int = 0
    received: int = 0
    """All units received, or found, so far."""
    written_off: int = 0
    """Units of refunded or returned items that were not put back, and those that were lost."""
    low_stock: int | None = None
    """Fewer free units than this are low, says the product."""
    low_since: datetime | None = None
    """Since when they are."""

    def __post_init__(self) -> None:
        if not 0 <= self.reserved <= self.on_hand <= self.received - self.written_off:
            raise ValueError(f"stock out of balance: {self.reserved} reserved, {self.on_hand} on hand")

    @property
    def free(self) -> int:
        return self.on_hand - self.reserved

    def receive(self, units: int) -> Stock:
        return replace(self, on_hand=self.on_hand + units, received=self.received + units)

    def lose(self, units: int) -> Stock:
        return replace(self, on_hand=self.on_hand - units, written_off=self.written_off + units)

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

    def find(self, units: int) -> Stock:
        """Units that were written off are here again."""
        return replace(self, on_hand=self.on_hand + units, written_off=self.written_off - units)

    def watched(self, at: datetime) -> Stock:
        """With the time since when too few units are free."""
        is_low = self.low_stock is not None and self.free < self.low_stock
        if is_low is (self.low_since is not None):
            return self
        return replace(self, low_since=at if is_low else None)


class StockMovement(Record):
    """A change of the units on hand, or of those that were sold."""

    key: str
    id: UUID
    at: datetime
    why: str
    """One of received, set, adjusted; by an order: taken, put_back, written_off."""
    units: int
    """More on hand than before; below zero: fewer."""
    on_hand: int
    """After it."""
    free: int
    reason: str
    actor: str
    order_key: str
    """The order's id; empty for what staff did."""


def movement(
    context: Context, key: str, before: Stock, after: Stock, why: str, *, reason: str = "", order: str = ""
) -> StockMovement:
    units, actor = after.on_hand - before.on_hand, context.actor
    return StockMovement(key, context.new_id(), context.at, why, units, after.on_hand, after.free, reason, actor, order)


stocks = Core(Stock)


@stocks.begins(ReceiveStock)
def received(stock: Stock | None, command: ReceiveStock, context: Context) -> Decision[Stock] | Refused:
    if not command.quantity:
        return Refused("no_quantity", "Specify at least one unit.")
    return _changed(stock, "received", command.quantity, "", context)


@stocks.begins(SetStock)
def counted(stock: Stock | None, command: SetStock, context: Context) -> Decision[Stock] | Refused:
    before = stock or Stock()
    return _changed(stock, "set", command.on_hand - before.on_hand, command.reason, context)


@stocks.begins(AdjustStock)
def adjusted(stock: Stock | None, command: AdjustStock, context: Context) -> Decision[Stock] | Refused:
    if not command.units:
        return Refused("no_quantity", "Specify at least one unit, more or fewer.")
    return _changed(stock, "adjusted", command.units, command.reason, context)


def _changed(stock: Stock | None, why: str, units: int, reason: str, context: Context) -> Decision[Stock] | Refused:
    """By so many units. Reserved ones stay: their orders may be paid at any time."""
    before = stock or Stock()
    wrong = wrong_key(context.key, "<store>/<sku>") or _refusal(before, units)
    if wrong:
        return wrong
    after = before.receive(units) if units >= 0 else before.lose(-units)
    change = Change(before, context)
    change.state = after.watched(context.at)
    change.record(movement(context, context.key, before, after, why, reason=reason))
    return change.decision()


def _refusal(stock: Stock, units: int) -> Refused | None:
    if -units > stock.free:
        return Refused(
            "reserved",
            f"{stock.on_hand} on hand, {stock.reserved} of them reserved for orders: at most {stock.free} can be taken "
            "away. Cancel orders first if there are fewer.",
        )
    if stock.on_hand + units > MOST_ON_HAND:
        return Refused("too_many", f"There would be more than {MOST_ON_HAND} units.")
    return None
