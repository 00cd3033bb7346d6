"""`orderbus files`: what customers download, uploaded by staff."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO
from urllib.parse import quote

import typer

from deploy.cli import console
from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store
from deploy.cli.options import AsJson, Data
from deploy.cli.target import api_client
from deploy.client.http import Problem, store_path

Store = Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")]
COLUMNS = ("name", "bytes", "changed at")


@on_event_loop
async def put(
    store: Store,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What to upload.")],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="As products name it. Default: as the file is called.")
    ] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Upload a file that products name, or replace it.

    Customers get the new one from then on, also by links that they have.
    """
    with opened(file) as content:
        async with api_client(data) as api:
            await known_store(api, store)
            stored = await api.put_file("fulfillment", _path(store, name or Path(file).name), content)
    if as_json:
        console.show_json({"store": store, **stored})
    else:
        console.say(f"{stored['name']} of {store} is uploaded, {console.counted(stored['size'], 'byte')}.")


@on_event_loop
async def listing(store: Store, data: Data = None, as_json: AsJson = False) -> None:
    """List a store's files, without those of single orders."""
    found, after = [], ""
    async with api_client(data) as api:
        while True:
            page = await api.get("fulfillment", store_path(store, "files"), after=after)
            found += page["files"]
            after = page["next"] or ""
            if not after:
                break
    if as_json:
        console.show_json(found)
    elif found:
        rows = [(one["name"], str(one["size"]), console.day_and_clock(one["modified"])) for one in found]
        console.show_table(COLUMNS, rows)
    else:
        console.say(f"{store} has no files.")


@on_event_loop
async def remove(
    store: Store,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The file's name, as products say it.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Remove a file: links to it say that it is gone."""
    async with api_client(data) as api:
        try:
            await api.command("fulfillment", _path(store, name), method="DELETE")
        except Problem as problem:
            if problem.status != 404:
                raise
            raise Failure(f"{store} has no file {name}. See `orderbus files list {store}`.") from None
    if as_json:
        console.show_json({"store": store, "name": name})
    else:
        console.say(f"{name} of {store} is removed.")


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """Raises UsageError."""
    try:
        content = Path(file).open("rb")  # noqa: SIM115  # closed below
    except OSError as trouble:
        raise UsageError(f"{file} cannot be read: {trouble.strerror}.") from None
    with content:
        yield content


def _path(store: str, name: str) -> str:
    """Raises UsageError for a name that would lead to another store's files."""
    if {"", ".", ".."} & set(name.split("/")):
        raise UsageError(f"{name!r} cannot be the name of a file: no part of it may be empty, '.' or '..'.")
    return f"{store_path(store, 'files')}/{quote(name)}"
