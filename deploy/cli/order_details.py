"""Further lines of one order on the terminal: what staff did by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy.cli.console import money

Body = Mapping[str, Any]


def by_hand(order: Body) -> list[str]:
    """How it was paid without a provider, and what staff restored."""
    found = []
    if elsewhere := order.get("paid_elsewhere"):
        how, reference = elsewhere["method"].replace("_", " "), elsewhere["reference"]
        found.append(f"  paid      elsewhere: {how}{f', {reference}' if reference else ''}")
    if order.get("given"):
        found.append("  paid      nothing: staff gave it")
    if order.get("restored"):
        back = money(order["restored"], order["currency"])
        found.append(f"  restored  {back} went back to the customer and is not counted as refunded")
    return found
