"""Requests of the command line and the demo to services."""

from __future__ import annotations

from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.client.http import Http, Place


async def test_a_body_is_named_as_json_and_a_file_as_what_it_is() -> None:
    async def told(request: web.Request) -> web.Response:
        return web.json_response([request.content_type, request.body_exists])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", told)
    async with TestServer(app) as server, Http() as http:
        place = Place("checkout", str(server.make_url("")).rstrip("/"), "")
        assert await http.request(place, "POST", "/commands", {"note": "n"}) == ["application/json", True]
        csv = await http.request(place, "POST", "/codes", file=b"a,b", headers={"Content-Type": "text/csv"})
        assert csv == ["text/csv", True]
        assert (await http.request(place, "GET", "/orders"))[1] is False
