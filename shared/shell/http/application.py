"""The HTTP server of one worker: health, readiness, metrics, the routes for staff, and the service's own routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from aiohttp import web
from prometheus_client import generate_latest

from shared.shell.http.access import RequestHandler, public
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.attention import add_attention
from shared.shell.http.operations import add_operations
from shared.shell.http.parking import add_parking
from shared.shell.http.principals import Principals
from shared.shell.http.problems import json_response
from shared.shell.http.undeliverable import add_undeliverable
from shared.shell.http.web import MAX_REQUEST, protection
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.tracing import CURRENT, valid
from shared.shell.operations import Operations
from shared.shell.parking import Parking
from shared.shell.service.registry import HandlerRegistry

log = structlog.get_logger(__name__)


@web.middleware
async def _in_trace(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
    """Whatever the request leads to goes on in the caller's trace."""
    given = CURRENT.set(valid(request.headers.get("traceparent", "")))
    try:
        return await handler(request)
    finally:
        CURRENT.reset(given)


@dataclass(frozen=True, slots=True)
class Readiness:
    """What `/ready` says: what is missing (nothing: the worker is ready), the age of each part's progress in seconds,
    and notes for staff."""

    missing: Callable[[], list[str]] = list
    progress: Callable[[], dict[str, float]] = dict
    notes: Callable[[], list[str]] = list


def application(
    registry: HandlerRegistry,
    api: ShellHttpApi,
    parking: Parking,
    operations: Operations,
    metrics: Metrics,
    principals: Principals,
    ready: Readiness,
) -> web.Application:
    """The aiohttp application of one worker."""
    app = web.Application(middlewares=[_in_trace, protection(principals)], client_max_size=MAX_REQUEST)

    @public
    async def health(request: web.Request) -> web.Response:
        return json_response({"status": "ok", "service": registry.name})

    @public
    async def readiness(request: web.Request) -> web.Response:
        missing = ready.missing()
        status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
        answer = {"ready": not missing, "missing": missing, "progress": ready.progress(), "notes": ready.notes()}
        return json_response(answer, status)

    @public
    async def exposition(request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    app.router.add_get("/health", health)
    app.router.add_get("/ready", readiness)
    app.router.add_get("/metrics", exposition)
    add_parking(app, parking)
    add_undeliverable(app, api.store)
    add_operations(app, api.engine, operations)
    add_attention(app, api.engine, registry.service)
    if registry.service.routes:
        registry.service.routes(app, api)
    return app


async def serve(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Listen; `cleanup()` what is returned. Port 0 picks a free one, which the log names."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, keepalive_timeout=30, shutdown_timeout=5)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    for address in runner.addresses:
        log.info("listening", host=address[0], port=address[1])
    return runner
