"""`orderbus doctor` asks the collector of traces, and names few of many missing topics."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.cli.errors import Failure
from deploy.cli.probes import _some, traces


async def asked(status: int) -> tuple[str, list[tuple[str, str, bytes]]]:
    """What is said of a collector that answers so, and what it was asked."""
    seen: list[tuple[str, str, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path, request.content_type, await request.read()))
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    async with TestServer(app) as server:
        try:
            return await traces(str(server.make_url("/")).rstrip("/")), seen
        except Failure as failure:
            return str(failure), seen


async def test_a_collector_that_takes_traces() -> None:
    said, seen = await asked(200)
    assert said.endswith(" takes traces")
    assert seen == [("/v1/traces", "application/x-protobuf", b"")]


@pytest.mark.parametrize("status", [404, 401])
async def test_another_server(status: int) -> None:
    said, _ = await asked(status)
    assert said.startswith("ORDERBUS_TELEMETRY__OTLP_ENDPOINT: http://") and f" takes no traces ({status}). " in said


async def test_no_server() -> None:
    with pytest.raises(Failure, match=r"OTLP_ENDPOINT: http://127\.0\.0\.1:9 takes no traces \(\w+\)"):
        await traces("http://127.0.0.1:9")


def test_three_of_many_topics_are_named() -> None:
    assert _some(["a", "b", "c"]) == "a, b, c"
    assert _some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
