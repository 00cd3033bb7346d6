"""Keys of rows that belong to a store: `<store>/<sku>`, `<store>/<pool>`, `<store>/offer/<offer>` and so on."""

from __future__ import annotations

from shared.core import Refused

EVERY_ORDER = "order/every"
"""After the store, in the key of what every order brings. No SKU has a `/`."""


def offer_name(offer: str) -> str:
    return f"offer/{offer}"


def row_key(store: str, name: str) -> str:
    return f"{store}/{name}"


def wrong_key(key: str, shape: str) -> Refused | None:
    """The refusal of a key that does not name a row of a store."""
    store, _, name = key.partition("/")
    if store and name and "/" not in name:
        return None
    return Refused("wrong_key", f"The key must be {shape}.")
