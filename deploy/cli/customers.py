"""`orderbus customers`: what is known of a customer as a file, and its erasure. By way of staff."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from deploy.cli import console
from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, IdempotencyKey
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.services import INCOMPLETE
from deploy.cli.target import api_client
from deploy.client.http import ApiClient, store_path
from shared.plurals import counted

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The customer's email address.")]
StoreOption = Annotated[str, typer.Option("--store", metavar="STORE", help="The store.")]
COLUMNS = ("number", "erased", "why not")


@on_event_loop
async def export(
    email: Email,
    store: StoreOption,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where it is written. Default: standard output.")
    ] = None,
    data: Data = None,
) -> None:
    """Write all that is known of a customer as JSON.

    The orders of the email address in the store: what each service has of them, and the archive of their events.
    """
    async with api_client(data) as api:
        pages = [page async for page in _pages(api, store, "export", email)]
    missing = sorted({service for page in pages for service in page["missing"]})
    whole = {**pages[0], "orders": [order for page in pages for order in page["orders"]], "missing": missing}
    whole.pop("next")
    if out is None:
        console.show_json(whole)
    else:
        _write(out, orjson.dumps(whole, option=orjson.OPT_INDENT_2))
    if missing:
        raise Failure(f"This is not all: {', '.join(missing)} did not answer. Try again.", INCOMPLETE)


@on_event_loop
async def erase(
    email: Email,
    store: StoreOption,
    yes: Annotated[bool, typer.Option("--yes", help="Erase it: nothing brings it back.")] = False,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Erase a customer's personal data in all services.

    Of orders that have ended. Amounts, items and times stay. Export it first, if you need it.
    """
    if not yes:
        raise UsageError("This cannot be undone. Add --yes to erase it.")
    identity = new_key(idempotency_key)
    attempt = Attempt("the orders were erased", f"orderbus customers export {email} --store {store}", identity)
    async with api_client(data) as api:
        with attempt.reported():
            pages = [page async for page in _pages(api, store, "erase", email, identity)]
    orders = [order for page in pages for order in page["orders"]]
    if as_json:
        console.show_json({"orders": orders})
    else:
        console.show_page("orders", COLUMNS, orders, _cells, "")
    left = sum(order["state"] != "done" for order in orders)
    if left:
        raise Failure(f"Not erased: {counted(left, 'order')}. Try again when what they wait for is over.")


async def _pages(
    api: ApiClient, store: str, what: str, email: str, identity: str = ""
) -> AsyncIterator[dict[str, Any]]:
    path, after = store_path(store, "customers", what), ""
    while True:
        body = {"email": email, "after": after}
        if identity:
            page = await api.command("staff", f"/api/v1{path}", body, identity=f"{identity}{after}"[:200])
        else:
            page = await api.read("staff", f"/api/v1{path}", body)
        yield page
        if page["next"] is None:
            return
        after = page["next"]


def _write(path: Path, text: bytes) -> None:
    """Raises Failure."""
    try:
        path.touch(mode=0o600)
        path.write_bytes(text + b"\n")
    except OSError as trouble:
        raise Failure(f"{path} cannot be written: {trouble.strerror}.") from None


def _cells(order: dict[str, Any]) -> list[object]:
    return [order["number"], "yes" if order["state"] == "done" else order["state"], order["text"]]
