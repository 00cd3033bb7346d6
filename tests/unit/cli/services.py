"""Services that answer as a test says, over real connections, and the command line that speaks to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from services.registry import PROCESSES
from shared.settings import PREFIX


@dataclass(frozen=True)
class Reply:
    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False
    """The connection is closed instead."""
    text: str = ""
    """Instead of JSON."""
    interrupts: bool = False
    """It never comes, and Ctrl-C is pressed."""


LOST = Reply(lost=True)


def problem(status: int, code: str, title: str = "Something is wrong.", **headers: str) -> Reply:
    return Reply({"code": code, "title": title, "status": status}, status, headers)


@dataclass(frozen=True)
class Received:
    service: str
    method: str
    path: str
    query: dict[str, str]
    body: Any
    key: str
    """Its Idempotency-Key."""
    at: float
    """Seconds, by a clock of its own."""


class FakeServices:
    """All processes, each at an address of its own, in a thread."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.names = {name: name for name in PROCESSES}
        """What each says it is."""
        self.trusted: set[str] = set()
        """Those that were sent a token."""
        self._replies: dict[tuple[str, str, str], list[Reply]] = {}
        self._urls: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> FakeServices:
        self._thread.start()
        assert self._started.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(30)
        self._loop.close()

    @property
    def environment(self) -> dict[str, str]:
        addresses = {f"{PREFIX}{name.upper()}__INTERNAL_URL": url for name, url in self._urls.items()}
        return addresses | {
            f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
            f"{PREFIX}API_TOKEN": "a-token-for-everything",
        }

    def reply(self, service: str, request: str, *replies: Reply) -> None:
        """`request`: `POST /orders/o-1/refund`. The last reply is repeated."""
        method, _, path = request.partition(" ")
        self._replies[service, method, path] = list(replies)

    def sent(self, method: str = "POST") -> Sequence[Received]:
        return [one for one in self.received if one.method == method]

    async def _serve(self) -> None:
        runners = []
        for name in PROCESSES:
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", self._handler(name))
            runner = web.AppRunner(application)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._urls[name] = f"http://127.0.0.1:{runner.addresses[0][1]}"
            runners.append(runner)
        self._started.set()
        await self._ended.wait()
        for runner in runners:
            await runner.cleanup()

    def _handler(self, name: str) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            if "Authorization" in request.headers:
                self.trusted.add(name)
            if request.path == "/health":
                return web.json_response({"status": "ok", "service": self.names[name]})
            text, path = await request.text(), unquote(request.raw_path.partition("?")[0])
            key = request.headers.get("Idempotency-Key", "")
            is_file = request.content_type == "text/csv"
            body = text if is_file else json.loads(text) if text else None
            self.received.append(Received(name, request.method, path, dict(request.query), body, key, time.monotonic()))
            replies = self._replies.get((name, request.method, path), [problem(404, "not_found", "Not found.")])
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
            if reply.lost:
                assert request.transport is not None
                request.transport.close()
            if reply.interrupts:
                os.kill(os.getpid(), signal.SIGINT)
                await self._ended.wait()
            if reply.text:
                return web.Response(text=reply.text)
            return web.json_response(reply.body, status=reply.status, headers=reply.headers)

        return handle
