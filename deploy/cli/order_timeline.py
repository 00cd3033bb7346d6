"""An order's timeline, which staff's API tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from deploy.client.http import ApiClient, ClientError, Problem, mapping

Entry = Mapping[str, Any]
PAGE = 200


async def staffs_timeline(api: ApiClient, name: str) -> Sequence[Entry]:
    """All of it, oldest first; empty as long as staff has read nothing of the order. `name`: its number or id. Raises
    ClientError."""
    path = f"/api/v1/orders/{quote(name, safe='')}/timeline"
    entries: list[Entry] = []
    after: str | None = None
    while True:
        try:
            page = mapping(await api.get("staff", path, sort="oldest", limit=PAGE, after=after))
        except Problem as problem:
            if problem.status == 404:
                return entries
            raise
        entries += page["entries"]
        after = page["next"]
        if after is None:
            return entries


async def timeline_or_why(api: ApiClient, name: str) -> tuple[Sequence[Entry] | None, str]:
    """The timeline; or None, and why staff does not tell it."""
    try:
        return await staffs_timeline(api, name), ""
    except ClientError as trouble:
        return None, str(trouble)
