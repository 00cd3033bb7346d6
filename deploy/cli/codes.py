"""`orderbus add-codes` and `orderbus codes`: redemption codes of pools, and those that staff type for an item."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store, without_product
from deploy.cli.options import AsJson, Data, IdempotencyKey, Number
from deploy.cli.order_changes import OrderCommand, submit
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.target import api_client
from deploy.client.http import store_path

AT_ONCE = 10_000
"""Codes of one command, as the contract of `codes.add` limits them."""


@on_event_loop
async def add_codes(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")],
    pool: Annotated[str, typer.Argument(metavar="POOL", help="The pool's name.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file with one code per line; - for standard input.")],
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add redemption codes to a pool, from a file.

    Codes that the pool has already are ignored. Orders that wait for codes are delivered.
    """
    codes = read_codes(file)
    path = store_path(store, "pools", pool)
    attempt = Attempt("all codes were added", "orderbus attention --service fulfillment", new_key(idempotency_key))
    async with api_client(data) as api:
        await known_store(api, store)
        with attempt.reported():
            for start in range(0, len(codes), AT_ONCE):
                some, identity = {"codes": codes[start : start + AT_ONCE]}, f"{attempt.key}-{start}"
                await api.command("fulfillment", f"{path}/codes", some, identity=identity)
        unused = await without_product(api, store, pool)
    if as_json:
        known = {"pool_has_product": False} if unused else {}
        console.show_json({"store": store, "pool": pool, "codes": len(codes), **known})
    else:
        console.say(f"{console.counted(len(codes), 'code')} accepted for pool {pool} of {store}.")
        if unused:
            console.say(f"No product of {store} uses this pool. If that is not what you meant, compare its name.")


def read_codes(file: str) -> list[str]:
    """One per line, without repetitions. Raises UsageError."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as trouble:
        reason = trouble.strerror if isinstance(trouble, OSError) else "it is not UTF-8"
        raise UsageError(f"{file} cannot be read: {reason}.") from None
    codes = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not codes:
        raise UsageError(f"{file} contains no codes.")
    return codes


@on_event_loop
async def import_codes(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, or one code per line; - for standard input.")],
    store: Annotated[str, typer.Option("--store", metavar="STORE", help="The store's id.")],
    pool: Annotated[str, typer.Option("--pool", metavar="POOL", help="The pool's name.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add the codes of a file to a pool: all of them, or none.

    Of CSV with a heading, the codes are those of the column `code`; else those of the first column. Codes that the file
    repeats or the pool has already are left out and reported, so a file can be imported again. Orders
    that wait for codes are delivered.
    """
    content = _read(file)
    async with api_client(data) as api:
        await known_store(api, store)
        result = await api.upload("fulfillment", f"{_path(store, pool)}/codes", content, "text/csv")
        unused = await without_product(api, store, pool)
    if as_json:
        known = {"pool_has_product": False} if unused else {}
        console.show_json({"store": store, "pool": pool, **result, **known})
        return
    console.say(f"{console.counted(result['added'], 'code')} added to pool {pool} of {store}.")
    for what, text in (("repeated", "repeated in the file"), ("known", "in the pool already")):
        if result[what]:
            console.say(
                f"{console.counted(result[what], 'code')} {text}: {_lines(result[what], result[f'{what}_lines'])}."
            )
    if unused:
        console.say(f"No product of {store} uses this pool. If that is not what you meant, compare its name.")


@on_event_loop
async def configure_pool(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")],
    pool: Annotated[str, typer.Argument(metavar="POOL", help="The pool's id.")],
    low_water: Annotated[
        int, typer.Option("--low-water", metavar="N", min=0, help="Below how many free codes staff are told; 0: never.")
    ],
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What staff call it.")] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Set a pool's name, and when few codes are left."""
    attempt = Attempt("the pool was configured", "orderbus attention --service fulfillment", new_key(idempotency_key))
    async with api_client(data) as api:
        await known_store(api, store)
        with attempt.reported():
            body = {"name": name, "low_water": low_water}
            await api.command("fulfillment", _path(store, pool), body, method="PUT", identity=attempt.key)
    if as_json:
        console.show_json({"store": store, "pool": pool, "low_water": low_water})
    else:
        console.say(f"Pool {pool} of {store}: staff are told below {console.counted(low_water, 'free code')}.")


@on_event_loop
async def provide(
    number: Number,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item, or 1/2 for its second action.")],
    codes: Annotated[list[str], typer.Argument(metavar="CODE...", help="As many codes as the item needs.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the order's timeline.")],
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Deliver an item with codes that you type."""
    execution = {"execution": item} if "/" in item else {}
    body = {"item": item.partition("/")[0], "codes": codes, "reason": reason, **execution}
    command = OrderCommand("fulfillment", "provide-code", number, "the code was provided", idempotency_key)
    await submit(command, body, data, as_json)


def _path(store: str, pool: str) -> str:
    return store_path(store, "pools", pool)


def _read(file: str) -> bytes:
    """Raises UsageError."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as trouble:
        raise UsageError(f"{file} cannot be read: {trouble.strerror}.") from None


def _lines(count: int, first: Sequence[int]) -> str:
    """`lines 3, 7 and 2 more`."""
    named = ", ".join(map(str, first))
    more = f" and {count - len(first)} more" if count > len(first) else ""
    return f"line{'s' if count > 1 else ''} {named}{more}"
