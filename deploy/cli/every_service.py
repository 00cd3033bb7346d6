"""What each service has of a kind, in one list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deploy.client.http import ApiClient


async def rows_of(edges: ApiClient, services: Iterable[str], kind: str, **query: object) -> list[dict[str, Any]]:
    """The rows under `/parked`, `/undeliverable` or `/operations`, each with the `service` that has it."""
    return [{"service": name} | row for name in services for row in (await edges.get(name, f"/{kind}", **query))[kind]]
