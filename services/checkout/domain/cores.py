"""Everything that checkout decides. Importing this registers every handler."""

from __future__ import annotations

from services.checkout.domain import checkouts, closing, commands, delivering, paying, refunding, tidings
from services.checkout.domain.decisions import orders
from services.checkout.domain.sku import skus
from services.checkout.domain.store import stores

HANDLERS = (checkouts, commands, paying, delivering, refunding, closing, tidings)
CORES = (stores, skus, orders)

__all__ = ["CORES", "HANDLERS"]
