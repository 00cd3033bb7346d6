"""Services that are named as arguments, and what several of them have of a kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deploy.cli.errors import UsageError
from deploy.client.http import ApiClient
from services.registry import PROCESSES, SERVICES


def known(service: str) -> str:
    """The same name. Raises UsageError when there is no such service."""
    if service not in SERVICES:
        raise UsageError(f"There is no service {service}. The services are {', '.join(SERVICES)}.")
    return service


def known_process(name: str) -> str:
    """The same name, of a service or of another process. Raises UsageError."""
    if name not in PROCESSES:
        raise UsageError(f"There is no service {name}. Those that can be run are {', '.join(PROCESSES)}.")
    return name


def chosen(service: str) -> tuple[str, ...]:
    """That service, or all of them for an empty name."""
    return (known(service),) if service else tuple(SERVICES)


async def rows_of(api: ApiClient, services: Iterable[str], kind: str, **query: object) -> list[dict[str, Any]]:
    """The rows under `/parked`, `/undeliverable` or `/operations`, each with the `service` that has it."""
    return [{"service": name} | row for name in services for row in (await api.get(name, f"/{kind}", **query))[kind]]
