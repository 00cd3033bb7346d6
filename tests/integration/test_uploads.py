"""Files that staff upload, and how customers download them: from a folder, and from S3 as `moto` understands it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from services.fulfillment.gateways.files import FilesAway
from services.fulfillment.gateways.files.folder import FolderFiles
from services.fulfillment.gateways.files.s3 import S3Files
from shared.contracts.delivery_work import MarkDeliveredDelivery
from tests.integration.conftest import NewDatabase
from tests.integration.moto_s3 import Moto, moto_s3
from tests.integration.test_downloads import bought, get, running
from tests.integration.test_fulfillment_service import Running, open_shop, running_with
from tests.unit.fulfillment.examples import PAID, line, placed, refund

__all__ = ["running"]
FILE = b"made for Ada" * 100_000
QUERY = {"name": "Für Ada.pdf", "reason": "Made to order.", "note": "Print it."}
ORDER_FILE = "/orders/o-1/items/1/file"


async def upload(
    running: Running, path: str, file: Any, query: dict[str, str] | None = None, key: str = ""
) -> tuple[int, Any]:
    headers = {"Idempotency-Key": key or str(uuid4())}
    file = io.BytesIO(file) if isinstance(file, bytes) else file
    async with running.http.put(path, data=file, params=query or {}, headers=headers) as response:
        return response.status, json.loads(await response.read())


async def made_to_order(running: Running) -> None:
    await open_shop(running)
    await running.receive("o-1", placed(line("1", "poster"), line("2", "key")), PAID)


async def listed(running: Running) -> list[str]:
    _, page = await running.ask("GET", "/stores/acme/files")
    return [file["name"] for file in page["files"]]


async def test_what_staff_upload_is_what_customers_download(running: Running) -> None:
    assert (await upload(running, "/stores/acme/files/book.pdf", b"the old book"))[0] == 200
    status, put = await upload(running, "/stores/acme/files/book.pdf", b"the book")
    assert (status, put["name"], put["size"]) == (200, "book.pdf", 8)

    link = await bought(running)
    status, body, headers = await get(running, link)
    assert (status, body, headers["ETag"], headers["Content-Type"]) == (
        200,
        b"the book",
        put["etag"],
        "application/pdf",
    )
    assert (await get(running, link, Range="bytes=4-"))[:2] == (206, b"book")
    assert (await get(running, link, Range="bytes=-4", If_Range=put["etag"]))[:2] == (206, b"book")
    assert (await get(running, link, Range="bytes=4-", If_Range='"another"'))[:2] == (200, b"the book")
    status, _, headers = await get(running, link, Range="bytes=9-")
    assert (status, headers["Content-Range"]) == (416, "bytes */8")
    status, body, headers = await get(running, link, "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", "8")
    assert (await get(running, link, If_None_Match=put["etag"]))[0] == 304

    status, gone = await running.ask("DELETE", "/stores/acme/files/book.pdf")
    assert (status, gone["size"]) == (200, 8)
    assert (await get(running, link))[0] == 404
    assert (await running.ask("DELETE", "/stores/acme/files/book.pdf"))[0] == 404


async def test_files_are_listed_page_by_page(running: Running) -> None:
    for name in ("c.pdf", "set/b.pdf", "d.pdf"):
        await upload(running, f"/stores/lister/files/{name}", b"x")
    _, first = await running.ask("GET", "/stores/lister/files?limit=2")
    assert ([one["name"] for one in first["files"]], first["next"]) == (["c.pdf", "d.pdf"], "d.pdf")
    _, rest = await running.ask("GET", "/stores/lister/files?limit=2&after=d.pdf")
    assert ([one["name"] for one in rest["files"]], rest["next"]) == (["set/b.pdf"], None)


async def test_bad_names_and_sizes_are_refused_with_all_that_is_wrong(running: Running) -> None:
    status, refused = await upload(running, "/stores/acme/files/a//.b%20c", b"x")
    assert (status, len(refused["problems"])) == (400, 3)
    assert (await upload(running, "/stores/acme/files/%2e%2e/x", b"x"))[0] in (400, 403, 404)
    assert (await upload(running, "/stores/acme/files/empty.pdf", b""))[0] == 400
    status, refused = await upload(running, "/stores/acme/files/big.pdf", bytes(2_000_001))
    assert (status, refused["code"]) == (413, "request_entity_too_large")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield bytes(100_000)

    status, refused = await upload(running, "/stores/acme/files/big.pdf", endless())
    assert (status, refused["code"]) == (413, "request_entity_too_large")
    assert not {"big.pdf", "empty.pdf"} & {*await listed(running)}
    status, refused = await upload(running, "/orders/o-1/items/1/file", b"x", QUERY)
    assert status == 404, "nothing is known of this order"


async def test_an_upload_that_is_cut_leaves_nothing(running: Running) -> None:
    host, _, port = running.base.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    token = running.http.headers["Authorization"]
    lines = ("PUT /stores/acme/files/cut.pdf HTTP/1.1", "Host: x", f"Authorization: {token}", "Content-Length: 900000")
    writer.write("\r\n".join((*lines, "", "")).encode() + bytes(500_000))
    await writer.drain()
    writer.close()
    await asyncio.sleep(1)
    assert "cut.pdf" not in await listed(running)


async def test_a_file_made_to_order_is_the_customers_until_the_refund(running: Running) -> None:
    await made_to_order(running)
    status, accepted = await upload(running, ORDER_FILE, FILE, QUERY, "k-1")
    assert (status, accepted["duplicate"]) == (202, False)
    noted, resent = await running.until("delivery.noted", "delivery.resent")
    assert (noted["action"], noted["text"]) == ("attached", "Made to order.")
    given = resent["items"][0]["instructions"]
    assert (given["kind"], given["note"]) == ("download", "Print it.")
    await running.receive("o-1", MarkDeliveredDelivery(items=("1",), reason="Made."))

    status, body, headers = await get(running, given["link"], Range="bytes=0-9")
    assert (status, body, headers["Content-Range"]) == (206, FILE[:10], f"bytes 0-9/{len(FILE)}")
    assert headers["Content-Disposition"].endswith("filename*=UTF-8''F%C3%BCr%20Ada.pdf")
    assert (await get(running, given["link"]))[1] == FILE
    _, log = await running.ask("GET", "/orders/o-1/downloads")
    assert [(one["item"], one["file"].startswith(".orders/o-1/")) for one in log] == [("1", True)] * 2
    status, renewed = await running.ask("POST", "/orders/o-1/downloads/renew", {"item": "1", "file": log[0]["file"]})
    assert (status, (await get(running, renewed["link"]))[0]) == (200, 200)
    assert [name for name in await listed(running) if "orders" in name] == []

    await running.receive("o-1", refund("1"))
    assert [(await get(running, link))[0] for link in (given["link"], renewed["link"])] == [410, 410]
    status, refused = await upload(running, ORDER_FILE, FILE, QUERY)
    assert (status, refused["code"]) == (409, "item_revoked")


async def test_a_repeated_upload_changes_nothing(running: Running) -> None:
    await made_to_order(running)
    await upload(running, ORDER_FILE, b"the first", QUERY, "k-1")
    (resent,) = await running.until("delivery.resent")
    status, again = await upload(running, ORDER_FILE, b"the second", QUERY, "k-1")
    assert (status, again["duplicate"]) == (202, True)
    assert (await get(running, resent["items"][0]["instructions"]["link"]))[1] == b"the first"
    _, delivery = await running.ask("GET", "/orders/o-1/deliveries")
    assert [len(item.get("files", ())) for item in delivery["items"]] == [1, 0]


async def test_an_upload_for_an_item_is_refused_before_it_is_read(running: Running) -> None:
    await made_to_order(running)
    status, refused = await upload(running, ORDER_FILE, FILE, {"name": "a/b", "expires_after": "P0D"})
    assert (status, {one["field"] for one in refused["problems"]}) == (400, {"name", "reason", "expires_after"})
    status, refused = await upload(running, "/orders/o-1/items/7/file", FILE, QUERY)
    assert (status, refused["code"]) == (404, "unknown_item")
    status, refused = await upload(running, "/orders/o-1/items/2%2F2/file", FILE, QUERY)
    assert (status, refused["code"]) == (404, "unknown_item")


async def test_what_is_refused_meanwhile_is_told_also_where_the_file_cannot_be_removed(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> bool:
        raise FilesAway("the storage: no permission to delete")

    for kind in (FolderFiles, S3Files):
        monkeypatch.setattr(kind, "delete", away)
    await made_to_order(running)

    async def refunded_meanwhile() -> AsyncIterator[bytes]:
        yield b"the first"
        await asyncio.sleep(0.5)  # until it is being taken
        await running.receive("o-1", refund("1"))
        yield b" and the second"

    status, refused = await upload(running, ORDER_FILE, refunded_meanwhile(), QUERY)
    assert (status, refused["code"]) == (409, "item_revoked")


async def test_a_slow_reader_holds_nothing_up(running: Running) -> None:
    await upload(running, "/stores/acme/files/book.pdf", bytes(1_900_000))
    link = await bought(running)
    async with (
        aiohttp.ClientSession(running.base) as slow,
        slow.get("/downloads/" + link.rpartition("/")[2]) as response,
    ):
        await response.content.read(10)
        assert (await get(running, link, Range="bytes=0-3"))[0] == 206


async def test_s3_that_is_away_is_no_download(new_database: NewDatabase, tmp_path: Path, moto: Moto) -> None:
    with moto_s3() as failing:
        settings = failing.settings() | {"files": None}
        async with running_with(await new_database("fulfillment"), tmp_path / "files", **settings) as running:
            await upload(running, "/stores/acme/files/book.pdf", b"the book")
            link = await bought(running, limit=1)
            failing.stop()
            status, body, headers = await get(running, link)
            assert (status, json.loads(body)["code"], headers["Retry-After"]) == (503, "files_away", "30")
            assert (await upload(running, "/stores/acme/files/book.pdf", b"x"))[0] == 503
            assert (await running.ask("GET", "/stores/acme/files"))[0] == 503
            failing.start()
            await upload(running, "/stores/acme/files/book.pdf", b"the book")
            assert (await get(running, link))[:2] == (200, b"the book")
            _, log = await running.ask("GET", "/orders/o-1/downloads")
            assert len(log) == 1


async def test_without_a_place_for_files_nothing_is_uploaded(new_database: NewDatabase, tmp_path: Path) -> None:
    async with running_with(await new_database("fulfillment"), tmp_path / "files", files=None) as running:
        status, refused = await upload(running, "/stores/acme/files/book.pdf", b"x")
        assert (status, refused["code"]) == (409, "no_storage")
        assert (await get(running, await bought(running)))[0] == 404
