"""How the small sandboxes are served: HTTP on the loopback interface. What other systems would call is open; what tests
and the command line ask needs a token, which comes by environment: a command line can be read by every user."""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Protocol, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from deploy.sandboxes.faults import Fault, Faults
from shared.shell.event_loop import run

LOOPBACK = "127.0.0.1"
TOKEN_VARIABLE = "ORDERBUS_OUTSIDE_TOKEN"  # noqa: S105  (the variable's name, not a token)
LARGEST_REQUEST = 2_000_000
NOTHING: AbstractAsyncContextManager[None] = nullcontext()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Model = TypeVar("Model", bound=BaseModel)


class Sandbox(Protocol):
    """One outside system. Its routes for tests are guarded by the token."""

    def open_routes(self) -> Sequence[web.RouteDef]: ...

    def guarded_routes(self) -> Sequence[web.RouteDef]: ...

    def health(self) -> dict[str, int]: ...


def application(token: str, sandboxes: Sequence[Sandbox]) -> web.Application:
    """The sandboxes on one port."""

    async def health(_: web.Request) -> web.Response:
        return reply({name: value for sandbox in sandboxes for name, value in sandbox.health().items()})

    app = web.Application(client_max_size=LARGEST_REQUEST, middlewares=[_plain_errors])
    app.router.add_get("/health", health)
    for sandbox in sandboxes:
        app.add_routes(sandbox.open_routes())
        app.add_routes([web.route(r.method, r.path, _guarded(token, r.handler)) for r in sandbox.guarded_routes()])
    return app


def fault_routes(target: str, faults: Callable[[web.Request], Faults]) -> list[web.RouteDef]:
    """`PUT /control/TARGET` injects a fault, `DELETE` clears it."""

    async def inject(request: web.Request) -> web.Response:
        faults(request).inject(await parsed(request, Fault))
        return reply({})

    async def clear(request: web.Request) -> web.Response:
        faults(request).clear()
        return reply({"struck": faults(request).struck})

    return [web.put(f"/control/{target}", inject), web.delete(f"/control/{target}", clear)]


def reply(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


async def parsed(request: web.Request, model: type[Model]) -> Model:
    return model.model_validate_json(await request.read())


def window(request: web.Request) -> tuple[int, int]:
    """`?after=` and `?limit=` of a list."""
    return int(request.query.get("after", "0")), min(int(request.query.get("limit", "100")), 10_000)


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (ValidationError, ValueError) as wrong:
        return reply({"error": str(wrong)}, 400)


def _guarded(token: str, handler: Handler) -> Handler:
    expected = f"Bearer {token}".encode()

    async def checked(request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            return reply({"error": "Authorization: Bearer TOKEN is missing or wrong."}, 401)
        return await handler(request)

    return checked


# Running one by itself


def arguments_of(module: str, what: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=what,
        epilog=f"{TOKEN_VARIABLE} in the environment is the bearer token of /control and of everything that lists.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder for what it keeps")
    parser.add_argument("--http-port", type=int, default=0, help="port to listen on (default: a free one)")
    return parser


def token_of(parser: argparse.ArgumentParser) -> str:
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        parser.error(f"{TOKEN_VARIABLE} is missing in the environment")
    return token


async def serve(app: web.Application, port: int, also: AbstractAsyncContextManager[object] = NOTHING) -> None:
    """Until SIGTERM or Ctrl-C. Prints a line of JSON when it is ready. `also`: listens meanwhile, on another port."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with also:
        url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
        print(orjson.dumps({"ready": True, "url": url}).decode(), flush=True)
        await stopped.wait()
    await runner.cleanup()


def run_alone(parser: argparse.ArgumentParser, sandbox: Callable[[Path], Sandbox]) -> None:
    """The whole program of a sandbox that speaks HTTP only."""
    given = parser.parse_args()
    run(serve(application(token_of(parser), [sandbox(given.data)]), given.http_port))
