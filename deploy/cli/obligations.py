"""A part of what is owed to a customer, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NEXT = {"owed": "tried again by itself", "sent": "requested of the provider", "pending": "at the customer's bank"}


def what_next(part: Mapping[str, Any]) -> str:
    """Of one of payments' `obligations`."""
    if part["state"] == "unknown":
        return "outcome unknown: checked by itself, or settle it"
    return "waits for staff" if part["for_staff"] else _NEXT[part["state"]]
