"""The owners' routes: what they change, and what they show. `commands.json` and `reads.json` are made of what they
declare (`deploy/documents`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import orjson

from shared.shell.http.declaration import Declaration, Described
from shared.shell.http.requests import IDEMPOTENCY_KEY

ROOT = "/api/v1"
COMMANDS, READS = "commands.json", "reads.json"


@dataclass(frozen=True, slots=True)
class OwnerRoute:
    owner: str
    """The service that answers."""
    method: str
    path: str
    """With the owner, and as it is registered: `/parked/{key:.+}/retry`."""
    permission: str
    scope: Literal["path", "query", "found", "recipient", "every"]
    """Where the store is, as `access.Scope` says it."""
    declaration: Declaration

    @property
    def route(self) -> str:
        """As it is registered here."""
        return f"{ROOT}/{self.owner}{self.path}"


def owner_commands() -> Iterator[OwnerRoute]:
    return _routes(COMMANDS)


def owner_reads() -> Iterator[OwnerRoute]:
    return _routes(READS)


def _routes(file: str) -> Iterator[OwnerRoute]:
    whole = _read(file)
    for each in whole["commands"]:
        owner = each["owner"]
        described = Described(each["operation"], whole["schemas"], f"Sent on to {owner}, which answers.")
        declaration = Declaration(
            summary=each["summary"],
            responses=(),
            headers=(IDEMPOTENCY_KEY,) if each["idempotent"] else (),
            refused=tuple(map(HTTPStatus, each["refused"])),
            raw_body="The command." if each["takes_body"] else "",
            described=described,
        )
        yield OwnerRoute(owner, each["method"], each["path"], each["permission"], each["scope"], declaration)


@cache
def _read(file: str) -> Any:
    return orjson.loads(Path(__file__).with_name(file).read_bytes())
