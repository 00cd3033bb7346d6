"""Runs one service of the usual way: `python -m tests.benchmarks.usual_way.run checkout --worker 0 --port 8081`."""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import suppress
from importlib import import_module

import uvloop
from aiohttp import web
from sqlalchemy.ext.asyncio import async_sessionmaker

from deploy.settings import load_system_settings
from shared.settings import Settings
from shared.shell.postgres.engine import new_engine
from tests.benchmarks.usual_way import outside
from tests.benchmarks.usual_way.messaging import consume, publish


async def run(service: str, settings: Settings, ready: asyncio.Event) -> None:
    """Consumer and publisher of one service, until cancelled."""
    module = import_module(f"tests.benchmarks.usual_way.{service}")
    engine = new_engine(settings.service(service).database_url.get_secret_value(), pool_size=4)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    consuming, publishing = asyncio.Event(), asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(
                consume(settings.kafka, sessions, service, module.TOPICS, module.HANDLERS, consuming), name="consumer"
            )
            group.create_task(publish(settings.kafka, sessions, publishing), name="publisher")
            await consuming.wait()
            await publishing.wait()
            ready.set()
    finally:
        await engine.dispose()


async def serve(service: str, port: int) -> None:
    ready, stopping = asyncio.Event(), asyncio.Event()
    outside.listen()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    async def readiness(_: web.Request) -> web.Response:
        return web.Response(status=200 if ready.is_set() else 503)

    app = web.Application()
    app.router.add_get("/ready", readiness)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    working = asyncio.create_task(run(service, load_system_settings(), ready))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("service")
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    uvloop.run(serve(given.service, given.port))
