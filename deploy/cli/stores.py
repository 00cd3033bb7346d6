"""`orderbus stores`: the settings of stores, and how they were changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.history import PAGE, latest
from deploy.cli.names import known_store
from deploy.cli.options import AsJson, Data, IdempotencyKey
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.store_values import by_name, read, shown, together, typed
from deploy.cli.target import api_client
from deploy.client.http import ApiClient, Problem, store_path

Store = Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")]
STORE_COLUMNS = ("store", "name", "currencies", "sender")
SETTING_COLUMNS = ("setting", "value")
CHANGED_COLUMNS = ("setting", "before", "after")
HISTORY_COLUMNS = ("at", "actor", "setting", "before", "after", "reason")


@on_event_loop
async def listing(data: Data = None, as_json: AsJson = False) -> None:
    """List all stores."""
    found: list[dict[str, Any]] = []
    async with api_client(data) as api:
        after: str | None = ""
        while after is not None:
            page = await api.get("checkout", "/stores", after=after, limit=PAGE)
            found += page["stores"]
            after = page["next"]
    if as_json:
        console.show_json({"stores": found})
    elif found:
        console.show_table(STORE_COLUMNS, map(_store_cells, found))
    else:
        console.say("There are no stores.")


@on_event_loop
async def show(store: Store, data: Data = None, as_json: AsJson = False) -> None:
    """Show a store's settings, by default ones too."""
    async with api_client(data) as api:
        await known_store(api, store)
        found = await _settings(api, store)
    if as_json:
        console.show_json(found)
    else:
        console.show_table(SETTING_COLUMNS, [(name, shown(name, it)) for name, it in by_name(found).items()])


@on_event_loop
async def put(
    store: Store,
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings, such as payment.grace=P3D.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Settings of a TOML or JSON file, by group.")
    ] = None,
    reset: Annotated[
        list[str] | None, typer.Option("--reset", metavar="KEY", help="This setting takes its default. Repeatable.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the store's history.")] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Change settings of a store: all that are named, or none.

    A list is written a,b,c; an entry by name KEY.NAME=VALUE. A store that is new needs all settings without a default.
    """
    settings = together(read(file) if file else {}, typed(pairs or []))
    if not settings and not reset:
        raise UsageError("Name the settings to change, such as payment.grace=P3D.")
    body = {"settings": settings, "reset": reset or [], "reason": reason}
    attempt = Attempt("the settings were changed", f"orderbus stores history {store}", new_key(idempotency_key))
    async with api_client(data) as api:
        before = await _former(api, store)
        with attempt.reported():
            await api.command("checkout", store_path(store), body, identity=attempt.key, method="PATCH")
        after = await _settings(api, store)
    _show_change(store, by_name(before), by_name(after), as_json)


@on_event_loop
async def history(
    store: Store,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many, the latest.")] = 20,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show how a store's settings changed, and by whom."""
    async with api_client(data) as api:
        found = await latest(api, "checkout", store_path(store, "history"), "changes", limit)
        if not found:
            await known_store(api, store)
    if as_json:
        console.show_json({"store": store, "changes": found})
    elif found:
        console.show_table(HISTORY_COLUMNS, [row for change in found for row in _change_rows(change)])
    else:
        console.say(f"The settings of {store} have not changed since their history is kept.")


async def _settings(api: ApiClient, store: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = await api.get("checkout", store_path(store, "settings"))
    return found


async def _former(api: ApiClient, store: str) -> dict[str, dict[str, Any]]:
    """None of a store that is to be created."""
    try:
        return await _settings(api, store)
    except Problem as problem:
        if problem.status != 404:
            raise
        return {}


def _show_change(store: str, before: dict[str, Any], after: dict[str, Any], as_json: bool) -> None:
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    if as_json:
        console.show_json({"store": store, "changed": changed})
    elif changed:
        rows = [(name, shown(name, before.get(name)), shown(name, value)) for name, value in changed.items()]
        console.show_table(CHANGED_COLUMNS, rows)
    else:
        console.say(f"The settings of {store} are as they were.")


def _store_cells(row: dict[str, Any]) -> list[object]:
    if row.get("newer"):
        return [row["id"], console.NEWER, "", ""]
    return [row["id"], row["name"], ",".join(row["currencies"]), row["sender"]]


def _change_rows(change: dict[str, Any]) -> list[list[object]]:
    at = console.day_and_clock(change["at"])
    return [
        [at, change["actor"], one["setting"], *(shown(one["setting"], one[when]) for when in ("before", "after")), why]
        for one, why in ((one, change["reason"]) for one in change["changes"])
    ]
