"""Codes of files and of staff, with fulfillment's worker on PostgreSQL, and its HTTP API."""

from __future__ import annotations

import sqlalchemy as sa

from tests.integration.test_fulfillment_service import Running, open_shop, running
from tests.unit.fulfillment.examples import PAID, line, placed

__all__ = ["running"]


async def test_an_order_that_waits_gets_its_codes_of_a_file(running: Running) -> None:
    await open_shop(running)
    await running.receive("o-1", placed(line("1", "key", 2)), PAID)
    await running.until("item.waiting")
    path = "/stores/acme/pools/keys"
    assert (await running.ask("PUT", path, {"name": "Keys", "low_water": 5}))[0] == 202

    status, refused = await running.send_file(f"{path}/codes", b"AAA\n\x07\n")
    assert (status, refused["problems"][0]["field"]) == (400, "lines.2")
    status, done = await running.send_file(f"{path}/codes", b"AAA\nBBB\nCCC\nBBB\n")
    assert (status, done["added"], done["repeated_lines"], done["left"]) == (200, 3, [4], 3)

    delivered, low = await running.until("item.delivered", "pool.low")
    assert delivered["instructions"]["codes"] == ["AAA", "BBB"]
    assert (low["name"], low["left"], low["low_water"]) == ("Keys", 1, 5)
    _, pool = await running.ask("GET", path)
    assert (pool["free"], pool["taken"], pool["name"], pool["low_since"] is None) == (1, 2, "Keys", False)


async def test_staff_type_the_code_of_an_item_that_waits(running: Running) -> None:
    await open_shop(running)
    await running.receive("o-1", placed(line("1", "key")), PAID)
    await running.until("item.waiting")
    body = {"item": "1", "codes": ["OWN"], "reason": "Bought elsewhere."}

    assert (await running.ask("POST", "/orders/o-1/provide-code", body))[0] == 202

    _, delivered = await running.until("item.settled", "item.delivered")
    assert delivered["instructions"]["code"] == "OWN"
    status, refused = await running.ask("POST", "/orders/o-1/provide-code", body)
    assert (status, refused["code"]) == (409, "already_delivered")


async def test_a_file_whose_pool_cannot_be_read_is_refused_with_what_to_do(running: Running) -> None:
    await open_shop(running)
    key = {"name": "codes", "sealed": b"\x01" + bytes(60)}
    async with running.engine.begin() as connection:
        await connection.execute(sa.text("insert into vault_keys (name, sealed) values (:name, :sealed)"), key)

    status, refused = await running.send_file("/stores/acme/pools/keys/codes", b"AAA\n")

    assert (status, refused["code"]) == (503, "unreadable")
    assert "ORDERBUS_FULFILLMENT__DATA_KEYS" in refused["title"]
