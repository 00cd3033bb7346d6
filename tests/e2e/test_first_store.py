"""A first store and its first order, made as `docs/first-store.md` shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploy.client.http import api_url
from deploy.devstack.stack import Stack
from tests.e2e.conversation import World, eventually
from tests.runbook import PROJECT, CommandFailed, follow, procedure

DOCUMENT = PROJECT / "docs" / "first-store.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_a_store_is_made_and_sells_as_the_document_says(stack: Stack, world: World, tmp_path: Path) -> None:
    given = stack.environment() | {
        "HOME": str(tmp_path),
        "CHECKOUT_URL": api_url(world.settings, "checkout"),
        "FULFILLMENT_URL": api_url(world.settings, "fulfillment"),
    }

    async def run(heading: str, number: int = 1) -> str:
        return "".join([await follow(it, given) for it in procedure(heading, number=number, document=DOCUMENT)])

    async def shown() -> str:
        try:
            return await run("First order", 2)
        except CommandFailed:  # checkout has not read it yet
            return ""

    with pytest.raises(CommandFailed, match="401"):
        await follow(f"curl -sS --fail-with-body {given['CHECKOUT_URL']}/stores/bookshop", given)
    await run("Headers")
    assert (tmp_path / ".orderbus-headers").stat().st_mode & 0o077 == 0
    await run("Store")
    await run("Products")
    await run("Products", 2)
    said = await run("First order")
    assert "Published checkout.submitted" in said
    assert "knows no" not in said
    await eventually(shown, lambda said: "completed" in said, "a completed order")
    assert '"on_hand":100' in await follow(
        f"curl -sS {given['FULFILLMENT_URL']}/stores/bookshop/stock/poster -H @{tmp_path}/.orderbus-headers", given
    )
    await run("First order", 3)
    assert not (tmp_path / ".orderbus-headers").exists()
