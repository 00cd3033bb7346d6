"""`orderbus add-codes`: redemption codes for a pool."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store, without_product
from deploy.cli.options import AsJson, Data, IdempotencyKey
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.target import api_client

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
    path = f"/stores/{quote(store, safe='')}/pools/{quote(pool, safe='')}"
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
