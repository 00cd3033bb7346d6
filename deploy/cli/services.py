"""Services that are named as arguments, and what several of them have of a kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.client.http import ApiClient, ClientError, mapping
from services.registry import PROCESSES, SERVICES

INCOMPLETE = 3
"""The exit code when a service could not be read."""


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


@dataclass
class Rows:
    """What several services have of a kind, each row with the `service` that has it."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    """The services that could not be read, and why."""

    def document(self, name: str) -> dict[str, Any]:
        return {name: self.rows} | ({"unread_services": self.unread} if self.unread else {})

    def report_unread(self) -> None:
        """Says which services could not be read. Raises typer.Exit if any."""
        for service, why in self.unread.items():
            console.say(f"What {service} has is not shown: {why}")
        if self.unread:
            raise typer.Exit(INCOMPLETE)


Read = Callable[[str], Awaitable[Iterable[dict[str, Any]]]]


async def read_all(services: Iterable[str], read: Read) -> Rows:
    """One service that cannot be read does not hide what the others have."""
    found = Rows()
    for service in services:
        try:
            found.rows += [{"service": service} | row for row in await read(service)]
        except ClientError as trouble:
            found.unread[service] = str(trouble)
    return found


async def rows_of(api: ApiClient, services: Iterable[str], kind: str, **query: object) -> Rows:
    """The rows under `/attention`, `/parked`, `/undeliverable` or `/operations`."""

    async def read(service: str) -> Iterable[dict[str, Any]]:
        rows: list[dict[str, Any]] = mapping(await api.get(service, f"/{kind}", **query))[kind]
        return rows

    return await read_all(services, read)
