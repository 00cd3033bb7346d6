"""Exports of orders: their columns, and what the files are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.core.fast_enums import StrEnum

ExportFormat = Literal["csv", "xlsx"]


class CellKind(StrEnum):
    TEXT = "text"
    """What customers, storefronts and staff wrote: it may look like a formula."""
    WORD = "word"
    """One of our own words, or an id that we gave."""
    NUMBER = "number"
    MONEY = "money"
    """Decimals of the order's currency."""
    TIME = "time"
    """In the export's time zone."""
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class ExportColumn:
    title: str
    kind: CellKind


K = CellKind
COLUMNS: Mapping[str, ExportColumn] = {
    "order": ExportColumn("Order", K.TEXT),
    "number": ExportColumn("Number", K.TEXT),
    "date": ExportColumn("Date", K.TIME),
    "store": ExportColumn("Store", K.TEXT),
    "status": ExportColumn("Status", K.WORD),
    "shown_status": ExportColumn("Shown status", K.WORD),
    "status_word": ExportColumn("Store's status", K.TEXT),
    "payment_status": ExportColumn("Payment status", K.WORD),
    "fulfilment_status": ExportColumn("Fulfilment status", K.WORD),
    "currency": ExportColumn("Currency", K.WORD),
    "subtotal": ExportColumn("Subtotal", K.MONEY),
    "discount": ExportColumn("Discount", K.MONEY),
    "tax": ExportColumn("Tax", K.MONEY),
    "total": ExportColumn("Total", K.MONEY),
    "paid": ExportColumn("Paid", K.MONEY),
    "refunded": ExportColumn("Refunded", K.MONEY),
    "customer_name": ExportColumn("Customer", K.TEXT),
    "email": ExportColumn("Email", K.TEXT),
    "account": ExportColumn("Account", K.TEXT),
    "country": ExportColumn("Country", K.WORD),
    "source": ExportColumn("Source", K.TEXT),
    "offer": ExportColumn("Offer", K.TEXT),
    "item_count": ExportColumn("Items", K.NUMBER),
    "products": ExportColumn("Products", K.TEXT),
    "tags": ExportColumn("Tags", K.TEXT),
    "held": ExportColumn("Held", K.TEXT),
    "asked": ExportColumn("Asked", K.WORD),
    "created_at": ExportColumn("Created", K.TIME),
    "placed_at": ExportColumn("Placed", K.TIME),
    "paid_at": ExportColumn("Paid at", K.TIME),
    "completed_at": ExportColumn("Completed", K.TIME),
    "closed_at": ExportColumn("Closed", K.TIME),
    "updated_at": ExportColumn("Updated", K.TIME),
    "deadline": ExportColumn("Deadline", K.TIME),
    "erased_at": ExportColumn("Erased", K.TIME),
    "provider": ExportColumn("Gateway", K.TEXT),
    "method": ExportColumn("Method", K.TEXT),
    "card_brand": ExportColumn("Card", K.TEXT),
    "card_last4": ExportColumn("Card's last four", K.TEXT),
    "transaction": ExportColumn("Transaction", K.TEXT),
    "captured": ExportColumn("Captured", K.MONEY),
    "refund_pending": ExportColumn("Being refunded", K.MONEY),
    "refundable": ExportColumn("Refundable", K.MONEY),
    "owed": ExportColumn("Owed", K.MONEY),
    "unresolved": ExportColumn("Unresolved", K.FLAG),
    "delivery_stage": ExportColumn("Delivery", K.WORD),
    "failed_executions": ExportColumn("Failed actions", K.NUMBER),
    "waiting_executions": ExportColumn("Waiting actions", K.NUMBER),
    "to_start": ExportColumn("To start", K.FLAG),
    "lost_emails": ExportColumn("Lost emails", K.NUMBER),
    "lost_webhooks": ExportColumn("Lost webhooks", K.NUMBER),
}
"""By the names that lists have for them. `date` is what lists sort by."""
USUAL = (
    *("number", "date", "customer_name", "email", "status", "payment_status", "provider", "subtotal", "tax", "total"),
    *("currency", "products"),
)
"""If no columns are named."""
FORMULA = "=+-@\t\r\n＝＋－＠"
"""Spreadsheets take a cell of CSV that begins so for a formula, or for the end of one."""
NEUTRAL = "'"
"""Stands before it then: they show the cell as text."""


def file_name(stores: Sequence[str], zone: str, moment: datetime, format: ExportFormat) -> str:
    """With zone and moment of the snapshot. `moment`: in that zone."""
    what = stores[0] if len(stores) == 1 else f"{len(stores)}-stores"
    parts = ("orders", what, moment.strftime("%Y-%m-%dT%H%M%S"), zone)
    return "-".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", part) for part in parts) + f".{format}"
