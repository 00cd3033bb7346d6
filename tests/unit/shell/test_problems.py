"""What a request without a fitting route, or with a wrong id, is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from tests.http_edges import BEARER, service_edge


@pytest_asyncio.fixture
async def fulfillment() -> AsyncIterator[TestClient[Any, Any]]:
    edge = service_edge("fulfillment")
    async with TestClient(TestServer(edge.application), headers=BEARER) as client:
        yield client
    await edge.engine.dispose()


async def title(response: ClientResponse) -> str:
    return str(orjson.loads(await response.read())["title"])


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/nothing", "There is nothing at this path."),
        ("DELETE", "/orders/o-1/ship", "This path does not take this method."),
        ("POST", "/stores/maple/pools/po%20ol/codes", "The path does not name an id: the key is not an id (letters"),
        ("POST", "/stores/ma%20ple/pools/pool/codes", "The path does not name a store: its id is 1 to 64 letters"),
        ("GET", "/stores/-/pools/pool", "The path does not name a store: its id is 1 to 64 letters"),
    ],
)
async def test_the_text(fulfillment: TestClient[Any, Any], method: str, path: str, said: str) -> None:
    assert (await title(await fulfillment.request(method, path))).startswith(said)
