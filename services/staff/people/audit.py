"""The audit log over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from aiohttp import web
from pydantic import Field

from services.staff.people.people import People
from services.staff.people.tables import audit
from services.staff.unchanged import IF_NONE_MATCH, NOT_MODIFIED, kept_response
from shared.shell.http.access import EVERY_STORE, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Query
from shared.shell.http.requests import UtcMoment, Words, query_in

PAGE, MOST = 100, 500


class AuditQuery(Query):
    actor: Words = ""
    """Only what this actor did: `user:` and the user's id, or an API client's name."""
    kind: Words = ""
    """Only entries of this kind: `user.invited`."""
    since: UtcMoment | None = None
    """Only from this time on."""
    until: UtcMoment | None = None
    """Only before this time."""
    before: int | None = Field(default=None, ge=1, le=2**62)
    """The `next` of the page before."""
    limit: int = Field(default=PAGE, ge=1, le=MOST)
    """At most so many entries."""


@dataclass(frozen=True, slots=True)
class AuditView:
    """What an actor did."""

    number: int
    """Entries are numbered from 1 on, without a gap."""
    at: datetime
    """When."""
    actor: str
    """Who: `user:` and the user's id, an API client's name, or `command line`."""
    kind: str
    """What was done."""
    subject: str
    """The id of what it was done to."""
    detail: dict[str, Any]
    """Further ids."""
    hash: str
    """SHA-256 of the entry and of the hash before it."""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries of the audit log."""

    entries: list[AuditView]
    """Newest first."""
    next: int | None
    """The `before` of the next page; null on the last one."""


LIST = Declaration(
    "The audit log", (DeclaredResponse(AuditPage), NOT_MODIFIED), query=AuditQuery, headers=(IF_NONE_MATCH,)
)


def add_audit(application: web.Application, people: People) -> None:
    async def show(request: web.Request) -> web.StreamResponse:
        given = query_in(request, AuditQuery)
        query = sa.select(audit).where(*_conditions(given)).order_by(audit.c.number.desc()).limit(given.limit)
        async with people.writes.connect() as connection:
            rows = (await connection.execute(query)).all()
        entries = [
            AuditView(row.number, row.at, row.actor, row.kind, row.subject, orjson.loads(row.detail), row.hash.hex())
            for row in rows
        ]
        return kept_response(request, AuditPage(entries, entries[-1].number if len(entries) == given.limit else None))

    add_route(application, "GET", "/api/v1/audit", show, "audit.read", EVERY_STORE, LIST)


def _conditions(given: AuditQuery) -> Iterator[sa.ColumnElement[bool]]:
    if given.before is not None:
        yield audit.c.number < given.before
    if given.actor:
        yield audit.c.actor == given.actor
    if given.kind:
        yield audit.c.kind == given.kind
    if given.since is not None:
        yield audit.c.at >= given.since
    if given.until is not None:
        yield audit.c.at < given.until
