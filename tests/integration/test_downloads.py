"""Downloads over HTTP: parts, limits, the log, links made again. With fulfillment's worker on PostgreSQL, from a folder
and from S3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from services.fulfillment.file_response import disposition
from tests.integration.conftest import NewDatabase
from tests.integration.test_fulfillment_service import Running, open_shop, running_with
from tests.unit.fulfillment.examples import PAID, line, placed


@pytest_asyncio.fixture(params=["folder", "s3"])
async def running(request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Running]:
    s3 = request.getfixturevalue("moto").settings() | {"files": None} if request.param == "s3" else {}
    async with running_with(
        await new_database("fulfillment"), tmp_path / "files", upload_bytes=2_000_000, **s3
    ) as found:
        if s3:
            async with found.http.put("/stores/acme/files/book.pdf", data=b"the book") as response:
                assert response.status == 200
        yield found


async def bought(running: Running, limit: int = 0) -> str:
    """The link of a book."""
    await open_shop(running)
    action = {"kind": "download", "file": "book.pdf", "limit": limit}
    await running.ask("PUT", "/stores/acme/products/ebook", {"action": action})
    await running.receive("o-1", placed(line("1", "ebook")), PAID)
    (delivered,) = await running.until("item.delivered")
    link: str = delivered["instructions"]["link"]
    return link


async def get(running: Running, link: str, method: str = "GET", **headers: str) -> tuple[int, bytes, Any]:
    path = "/downloads/" + link.rpartition("/")[2]
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession(running.base) as anonymous,
        anonymous.request(method, path, headers=sent, allow_redirects=False) as response,
    ):
        return response.status, await response.read(), response.headers


async def test_parts_of_a_file(running: Running) -> None:
    link = await bought(running)
    status, body, headers = await get(running, link, "HEAD")
    assert (status, body, headers["Content-Length"], headers["Accept-Ranges"]) == (200, b"", "8", "bytes")
    tag = headers["ETag"]

    assert (await get(running, link, Range="bytes=4-"))[:2] == (206, b"book")
    status, body, headers = await get(running, link, Range="bytes=-4")
    assert (status, body, headers["Content-Range"]) == (206, b"book", "bytes 4-7/8")
    status, _, headers = await get(running, link, Range="bytes=9-")
    assert (status, headers["Content-Range"]) == (416, "bytes */8")
    assert (await get(running, link, Range="bytes=0-1,4-5"))[:2] == (200, b"the book")
    assert (await get(running, link, Range="bytes=4-", If_Range=tag))[:2] == (206, b"book")
    status, body, headers = await get(running, link, Range="bytes=4-", If_Range='"another"')
    assert (status, body, headers["ETag"]) == (200, b"the book", tag)
    assert (await get(running, link, Range="bytes=4-", If_Range="yesterday"))[0] == 200
    assert (await get(running, link, If_None_Match=tag))[0] == 304


async def test_a_link_works_as_often_as_it_may_and_parts_count_once(running: Running) -> None:
    link = await bought(running, limit=2)

    for _ in range(3):
        assert (await get(running, link, "HEAD"))[0] == 200
    for part in ("bytes=0-3", "bytes=4-5", "bytes=6-7"):
        assert (await get(running, link, Range=part, User_Agent="reader/1"))[0] == 206
    assert (await get(running, link))[0] == 200
    status, body, _ = await get(running, link)
    assert (status, b"used_up" in body) == (410, True)
    assert (await get(running, link, Range="bytes=6-7"))[0] == 206, "it goes on with one that was counted"

    _, log = await running.ask("GET", "/orders/o-1/downloads")
    assert [(entry["item"], entry["address"]) for entry in log] == [("1", "127.0.0.1")] * 2
    assert log[0]["agent"] == "reader/1"


async def test_the_whole_file_counts_also_where_a_part_of_a_former_one_was_asked_for(running: Running) -> None:
    link = await bought(running, limit=2)
    asked = [await get(running, link, Range="bytes=1-", If_Range='"former"') for _ in range(3)]
    assert [(status, body) for status, body, _ in asked[:2]] == [(200, b"the book")] * 2
    assert (asked[2][0], b"used_up" in asked[2][1]) == (410, True)


async def test_the_store_makes_a_link_again_with_its_whole_time_and_limit(running: Running) -> None:
    link = await bought(running, limit=1)
    assert [(await get(running, link))[0] for _ in range(2)] == [200, 410]

    status, renewed = await running.ask("POST", "/orders/o-1/downloads/renew", {"item": "1"})

    assert status == 200
    assert (await get(running, renewed["link"]))[:2] == (200, b"the book")
    status, refused = await running.ask("POST", "/orders/o-1/downloads/renew", {"item": "7"})
    assert (status, refused["code"]) == (409, "nothing_to_renew")


async def test_staff_send_the_customer_a_new_link(running: Running) -> None:
    former = await bought(running)
    await asyncio.sleep(1.1)  # links end at a whole second
    wanted = {"item": "1", "reason": "Ada was on holiday."}

    assert (await running.ask("POST", "/orders/o-1/renew", {"item": "1"}))[0] == 400
    assert (await running.ask("POST", "/orders/o-1/renew", wanted))[0] == 202

    (resent,) = await running.until("delivery.resent")
    link = resent["items"][0]["instructions"]["link"]
    assert link != former
    assert [(await get(running, each))[0] for each in (former, link)] == [200, 200]
    status, refused = await running.ask("POST", "/orders/o-1/renew", wanted | {"file": "other.pdf"})
    assert (status, refused["code"]) == (409, "nothing_to_renew")


async def raw(running: Running, link: str, headers: bytes) -> bytes:
    """The head of the answer to what no proper client sends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(running.base.rpartition(":")[2]))
    path = "/downloads/" + link.rpartition("/")[2]
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode() + headers + b"\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.partition(b"\r\n")[0]


async def test_headers_that_no_proper_client_sends(running: Running) -> None:
    link = await bought(running)

    assert b" 200 " in await raw(running, link, b"User-Agent: \xff\xe2\x80\xaex")
    for part in ("bytes=\u00b2-".encode(), b"bytes=" + b"9" * 5000 + b"-", b"bytes=5-2", b"items=5-"):
        assert b" 416 " in await raw(running, link, b"Range: " + part)

    _, log = await running.ask("GET", "/orders/o-1/downloads")
    assert log[0]["agent"] == "\ufffd\ufffdx"


async def test_parts_that_are_fetched_side_by_side_count_once(running: Running) -> None:
    link = await bought(running, limit=1)
    parts = [get(running, link, Range=f"bytes={first}-{first}") for first in range(8)]

    assert {status for status, _, _ in await asyncio.gather(*parts)} == {206}
    assert (await get(running, link))[0] == 410


async def test_answers_without_the_file_count_nothing(running: Running) -> None:
    link = await bought(running, limit=1)
    _, _, headers = await get(running, link, "HEAD")

    assert (await get(running, link, If_None_Match=headers["ETag"]))[0] == 304
    assert (await get(running, link, If_Match='"another"'))[0] == 412
    assert (await get(running, link, If_Modified_Since=headers["Last-Modified"]))[0] == 304
    assert (await get(running, link, Range="bytes=900-"))[0] == 416

    assert [(await get(running, link))[0] for _ in range(2)] == [200, 410]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("book.pdf", 'attachment; filename="book.pdf"'),
        ('a"b\\c.pdf', "attachment; filename=\"a_b_c.pdf\"; filename*=UTF-8''a%22b%5Cc.pdf"),
        (
            "Żółw\r\n€.pdf",
            "attachment; filename=\"___w___.pdf\"; filename*=UTF-8''%C5%BB%C3%B3%C5%82w%0D%0A%E2%82%AC.pdf",
        ),
    ],
)
def test_any_name_of_a_file_is_safe_in_the_header(name: str, header: str) -> None:
    assert disposition(name) == header
