"""Saved views by HTTP: a store's list of them, and the commands that change it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from aiohttp import web

from services.staff.domain.saved_view import SavedView, is_seen_by
from services.staff.storage import saved_views
from services.staff.unchanged import IF_NONE_MATCH, NOT_MODIFIED, kept_response
from shared.contracts.staff import RemoveView, SaveView
from shared.shell.http.access import IN_PATH, RequestHandler, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.web import actor_of, add_commands
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.histories import rows_of
from shared.shell.postgres.tables import read_state

ROOT = "/api/v1/stores/{store}/views"
COMMANDS = (("PUT", f"{ROOT}/{{view}}", SaveView), ("DELETE", f"{ROOT}/{{view}}", RemoveView))


@dataclass(frozen=True, slots=True)
class ShownView:
    """A view of a list, as staff saved it."""

    view: str
    """Its id within the store."""
    owner: str
    """The actor who saved it first."""
    name: str
    """What staff call it."""
    list: str
    """Which list it is a view of: `orders`, `payments`, …"""
    saved_at: datetime
    """When it was saved or changed last."""
    filters: tuple[str, ...]
    """As the list takes them in its query: `status=paid`."""
    search: str
    """A piece of text that is searched for."""
    period: str
    """Of the orders; empty: any."""
    sort: str
    """As the list takes it; empty: the list's own."""
    columns: tuple[str, ...]
    """In this order; empty: the list's own."""
    shared: bool
    """Everybody who may read the store's lists sees it."""


@dataclass(frozen=True, slots=True)
class ViewList:
    """The saved views of a store that the caller sees."""

    views: list[ShownView]
    """The caller's own and those that are shared, by name."""


VIEWS = Declaration("The saved views of a store", (DeclaredResponse(ViewList), NOT_MODIFIED), headers=(IF_NONE_MATCH,))


def add_saved_views(application: web.Application, api: HttpApi) -> None:
    async def no_order(key: str) -> None:
        raise AssertionError(key)  # each route names its store

    add_commands(application, api, COMMANDS, no_order)
    add_route(application, "GET", ROOT, _list(api), "view.read", IN_PATH, VIEWS)


def _list(api: HttpApi) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        store, actor = request.match_info["store"], actor_of(request)
        # The keys of a store lie between `<store>/` and `<store>0`: `0` follows `/`.
        query = sa.select(saved_views.c.key, sa.cast(saved_views.c.data, sa.Text).label("data")).where(
            saved_views.c.key > f"{store}/", saved_views.c.key < f"{store}0", saved_views.c.data.is_not(None)
        )
        found = [(row["key"], view) for row in await rows_of(api.engine, query) if (view := _read(row["data"]))]
        shown = [
            ShownView(key.partition("/")[2], **dataclasses.asdict(view))
            for key, view in found
            if is_seen_by(view, actor)
        ]
        return kept_response(request, ViewList(sorted(shown, key=lambda view: (view.name.casefold(), view.view))))

    return handle


def _read(data: str) -> SavedView | None:
    """None for one that only a newer build can read."""
    try:
        return read_state(SavedView, data)
    except WrittenByNewer:
        return None
