"""A part of what is owed to a customer, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NEXT = {"owed": "tried again by itself", "sent": "requested of the provider", "pending": "at the customer's bank"}


def what_next(part: Mapping[str, Any], number: str) -> str:
    """Of one of payments' `obligations`. `number`: the order's."""
    if part["state"] == "by_hand":
        return f"made by staff, then `orderbus settle refund {number} refunded --reason TEXT`"
    if part["state"] == "unknown":
        return "outcome unknown: checked by itself, or settle it"
    return "waits for staff" if part["for_staff"] else _NEXT[part["state"]]
