"""Discord's sandbox on a port, and what judges it and our requests: Discord's own OpenAPI description."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from aiohttp import web

from deploy.sandboxes.discord import ROOT, DiscordServer
from deploy.sandboxes.server import application

SPECS = Path(os.environ.get("ORDERBUS_SPECS") or Path(__file__).parents[3] / "shared" / "specs")
DESCRIPTION = SPECS / "discord-openapi.json"


@cache
def description() -> dict[str, Any]:
    """Skips the test where it is not there."""
    if not DESCRIPTION.is_file():
        pytest.skip(f"Discord's description is not at {DESCRIPTION}: set ORDERBUS_SPECS")
    found: dict[str, Any] = orjson.loads(DESCRIPTION.read_bytes())
    return found


@dataclass
class Exchange:
    method: str
    path: str
    headers: dict[str, str]
    status: int = 0
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""


@dataclass
class Rig:
    server: DiscordServer
    url: str
    exchanges: list[Exchange]

    def judge(self) -> int:
        """How many exchanges there were, all as Discord describes them."""
        for exchange in self.exchanges:
            judged(exchange)
        return len(self.exchanges)


@asynccontextmanager
async def sandbox(folder: Path, clock: Callable[[], float] | None = None) -> AsyncIterator[Rig]:
    server = DiscordServer(folder, clock) if clock else DiscordServer(folder)
    exchanges: list[Exchange] = []

    @web.middleware
    async def record(request: web.Request, handler: Any) -> web.StreamResponse:
        exchange = Exchange(request.method, request.path, dict(request.headers))
        exchanges.append(exchange)
        response: web.Response = await handler(request)
        exchange.status, exchange.answer_headers = response.status, dict(response.headers)
        exchange.answer = response.body if isinstance(response.body, bytes) else b""
        return response

    app = application("token", [server])
    app.middlewares.append(record)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Rig(server, f"http://127.0.0.1:{runner.addresses[0][1]}{ROOT}", exchanges)
    finally:
        await runner.cleanup()
        server.close()


def judged(exchange: Exchange) -> None:
    """Raises AssertionError, or jsonschema's ValidationError."""
    spec, path = description(), exchange.path.removeprefix(ROOT)
    template, operation = _operation(spec, exchange.method, path)
    for parameter in (*spec["paths"][template].get("parameters", ()), *operation.get("parameters", ())):
        if parameter["in"] == "path":
            pattern = "^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template) + "$"
            found = re.match(pattern, path)
            assert found
            _validate(spec, parameter["schema"], found[parameter["name"]])
    if scheme := spec["components"]["securitySchemes"].get("BotToken"):
        assert exchange.headers[scheme["name"]].startswith("Bot "), "https://docs.discord.com/developers/reference"
    _judge_answer(spec, operation, exchange)


def _judge_answer(spec: dict[str, Any], operation: dict[str, Any], exchange: Exchange) -> None:
    if exchange.status >= 500:
        return
    responses = operation["responses"]
    response = responses.get(str(exchange.status)) or responses.get(f"{exchange.status // 100}XX")
    assert response, f"{exchange.method} {exchange.path} does not answer {exchange.status}"
    response = _resolved(spec, response)
    assert set(response.get("headers", ())) <= set(exchange.answer_headers)
    if content := response.get("content"):
        _validate(spec, content["application/json"]["schema"], orjson.loads(exchange.answer))
    else:
        assert exchange.answer == b""


def _operation(spec: dict[str, Any], method: str, path: str) -> tuple[str, dict[str, Any]]:
    for template in sorted(spec["paths"], key=lambda one: one.count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in spec["paths"][template]:
            return template, spec["paths"][template][method.lower()]
    raise AssertionError(f"Discord has no {method} {path}")


def _resolved(spec: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    found: dict[str, Any] = spec
    for name in part["$ref"].split("/")[1:]:
        found = found[name]
    return found


def _validate(spec: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    jsonschema.Draft202012Validator({**schema, "components": spec["components"]}).validate(value)
