"""Messages of fulfillment about the stock of SKUs. Key: `<store>/<sku>`, unless a message says otherwise."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.contracts.fulfillment import COMMANDS, EVENTS
from shared.contracts.values import Count, Id, Line, Short
from shared.core import Command, Event

UnitsMoved = Annotated[int, Field(ge=-(10**9), le=10**9)]


class SetStock(Command, type="stock.set", topic=COMMANDS):
    """Say how many units are on hand, as they were counted: units of unpaid orders are among them, those of paid orders
    are not."""

    on_hand: Count
    """How many units were counted."""
    reason: Line = Field(min_length=1)
    """Why. Appears in the SKU's history."""


class AdjustStock(Command, type="stock.adjust", topic=COMMANDS):
    """Add units that were found, or take away what was lost."""

    units: UnitsMoved
    """How many units are added; below zero, taken away."""
    reason: Line = Field(min_length=1)
    """Why. Appears in the SKU's history."""


class StockLow(Event, type="stock.low", topic=EVENTS):
    """An order took the free units of a SKU below what its product says is low. Told once, until there are enough
    again. Key: the order id."""

    sku: Id
    """The SKU."""
    product: Short
    """The product's name."""
    free: Count
    """How many units are free: on hand, and reserved for no order."""
    low_stock: Count
    """The mark of its product: fewer free units than this are low."""
