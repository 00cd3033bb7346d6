"""Examples of the messages in `shared/contracts/stock.py`."""

from __future__ import annotations

from shared.contracts import stock
from shared.core import Message

EXAMPLES: tuple[Message, ...] = (
    stock.SetStock(on_hand=38, reason="Counted on 3 March."),
    stock.AdjustStock(units=-2, reason="Damaged in the warehouse."),
    stock.StockLow(sku="atlas", product="Field Atlas", free=4, low_stock=5),
)
