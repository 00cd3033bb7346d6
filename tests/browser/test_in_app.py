"""The example's page with live notifications, in a browser. The feed is played here; the real one is in
`tests/integration/test_live_feeds.py`, and the example with it in `tests/e2e/test_examples.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import web
from playwright.async_api import Page, expect

from tests.integration.stripe_sandbox_rig import listening
from tests.runbook import PROJECT

PAGE = PROJECT / "examples" / "in_app" / "page.html"


class Feed:
    """`titles`: the first comes just before the first stream opens, the second before the second one."""

    def __init__(self, *titles: str) -> None:
        self.entries: list[dict[str, Any]] = []
        self._coming = list(titles)

    def enter(self, title: str) -> None:
        at = f"2026-01-01T00:00:{len(self.entries):02}Z"
        self.entries.append({"id": str(uuid4()), "at": at, "title": title, "text": "", "read": False})

    async def page(self, _: web.Request) -> web.Response:
        return web.json_response({"entries": self.entries[::-1], "unread": len(self.entries), "next": None})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Ends after what there is, as when its worker stops."""
        known = [entry["id"] for entry in self.entries]
        if self._coming:
            self.enter(self._coming.pop(0))
        last = request.headers.get("Last-Event-ID")
        begin = len(self.entries) if last is None else known.index(last) + 1 if last in known else 0
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for entry in self.entries[begin:]:
            await response.write(event("entry", entry, entry["id"]))
        await response.write(event("unread", {"unread": len(self.entries)}))
        if not self._coming:
            await asyncio.sleep(60)
        return response

    def application(self) -> web.Application:
        async def page(_: web.Request) -> web.FileResponse:
            return web.FileResponse(PAGE)

        async def token(_: web.Request) -> web.Response:
            return web.json_response({"feed": "s~customer~ada", "token": "feed.x"})

        made, feed = web.Application(), "/feeds/s~customer~ada"
        made.add_routes([web.get("/", page), web.post("/token", token)])
        made.add_routes([web.get(feed, self.page), web.get(f"{feed}/stream", self.stream)])
        return made


def event(name: str, data: Mapping[str, Any], id: str = "") -> bytes:
    return (f"id: {id}\n" if id else "").encode() + f"event: {name}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"


async def test_what_comes_between_the_feed_and_its_stream_is_shown(page: Page) -> None:
    """Of an empty feed and of one that has entries; at first and when the stream is opened again."""
    feed = Feed("the first", "the second")
    async with listening(feed.application()) as url:
        await page.goto(url)
        await expect(page.get_by_role("listitem")).to_contain_text(["the second", "the first"])
        await expect(page.locator("#unread")).to_have_text("2")
