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
"""The exit code when a service, or a part of what it has, could not be read."""


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
    unreadable: dict[str, list[str]] = field(default_factory=dict)
    """What services cannot list, for a row that they cannot read."""
    more: list[str] = field(default_factory=list)
    """The services that have more than they list."""

    @property
    def incomplete(self) -> bool:
        """Something could not be read."""
        return bool(self.unread or self.unreadable)

    def document(self, name: str) -> dict[str, Any]:
        rest = {"unread_services": self.unread, "unreadable": self.unreadable, "more_in": self.more}
        return {name: self.rows} | {what: value for what, value in rest.items() if value}

    def report_rest(self) -> None:
        """Says what is not shown: the rest of long lists, and what could not be read. Raises typer.Exit if there is
        anything of the latter."""
        for service in self.more:
            console.say(f"{service} has more than is shown here: these are the first.")
        for service, why in self.unread.items():
            console.say(f"What {service} has is not shown: {why}")
        for service, lists in self.unreadable.items():
            for what in lists:
                why = "a row there cannot be read. `orderbus check --full` names it."
                console.say(f"What {service} has of {what} is not shown: {why}")
        if self.incomplete:
            raise typer.Exit(INCOMPLETE)


Read = Callable[[str], Awaitable[dict[str, Any]]]


async def read_all(services: Iterable[str], read: Read, kind: str) -> Rows:
    """The rows under this name in each service's answer. One that cannot be read does not hide what the others have."""
    found = Rows()
    for service in services:
        try:
            answer = await read(service)
        except ClientError as trouble:
            found.unread[service] = str(trouble)
            continue
        found.rows += [{"service": service} | row for row in answer[kind]]
        if answer.get("more") or answer.get("next"):
            found.more.append(service)
        if answer.get("unreadable"):
            found.unreadable[service] = answer["unreadable"]
    return found


async def rows_of(api: ApiClient, services: Iterable[str], path: str, kind: str = "", **query: object) -> Rows:
    """The rows under `/attention`, `/parked`, `/undeliverable`, `/operations`; `kind`: their name, if another one."""

    async def read(service: str) -> dict[str, Any]:
        return mapping(await api.get(service, f"/{path}", **query))

    return await read_all(services, read, kind or path)
