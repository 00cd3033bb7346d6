"""The latest entries of a history that a service gives page by page."""

from __future__ import annotations

from typing import Any

from deploy.client.http import ApiClient

PAGE = 500


async def latest(api: ApiClient, service: str, path: str, name: str, limit: int) -> list[dict[str, Any]]:
    """At most `limit`, the latest first. `name`: of the entries in a page."""
    found: list[dict[str, Any]] = []
    before: str | None = ""
    while before is not None and len(found) < limit:
        given = {"limit": min(PAGE, limit - len(found))} | ({"before": before} if before else {})
        page = await api.get(service, path, **given)
        found += page[name]
        before = page["next"]
    return found
