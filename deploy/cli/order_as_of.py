"""`orderbus order ORDER --as-of TIME`: the order as it was, from the archive of staff."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.order_page import lines
from deploy.cli.order_timeline import staffs_timeline
from deploy.client.http import ApiClient, mapping

Body = Mapping[str, Any]


def moment(given: str) -> datetime:
    """Raises UsageError."""
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageError(f"--as-of takes a time with its offset, such as 2026-03-03T14:05:00Z, not {given!r}.")
    return found


async def order_as_of(api: ApiClient, name: str, at: datetime) -> dict[str, Any]:
    """Staff's answer, and as `timeline` what had happened by then."""
    path = f"/api/v1/orders/{quote(name, safe='')}"
    found = mapping(await api.get("staff", path, as_of=at.isoformat()))
    timeline = await staffs_timeline(api, name)
    return found | {"timeline": [entry for entry in timeline if datetime.fromisoformat(entry["at"]) <= at]}


def show_order_as_of(found: Body) -> None:
    for line in page_of(found, console.terminal_width() or 120):
        console.show(line)


def page_of(found: Body, width: int = 120) -> list[str]:
    head = f"As of {console.day_and_clock(found['as_of'])}:"
    order = found["order"]
    if order is None:
        return [head, "Checkout had told nothing of it yet."]
    return [head, *lines(dict(order) | {"key": found["order_id"], "timeline": found["timeline"]}, width)]
