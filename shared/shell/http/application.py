"""The HTTP application of one process: health, readiness, metrics; of a service's worker also the routes for staff and
the service's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from shared.shell.http.access import RequestHandler, add_probe
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.attention import add_attention
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.explain import add_explain
from shared.shell.http.limits import MAX_REQUEST, Limits
from shared.shell.http.openapi import add_document
from shared.shell.http.operations import add_operations
from shared.shell.http.parking import add_parking
from shared.shell.http.principals import Principals
from shared.shell.http.problems import json_response
from shared.shell.http.undeliverable import add_undeliverable
from shared.shell.http.web import protection
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.tracing import CURRENT, valid
from shared.shell.operations import Operations
from shared.shell.parking import Parking
from shared.shell.service.registry import HandlerRegistry

STOPPING = "stopping"
"""What is missing of a process that was told to end: it answers what was asked already, and is to be asked nothing
more."""


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


@dataclass(frozen=True, slots=True)
class ReadinessBody:
    """Whether this worker is ready."""

    ready: bool
    """All of its parts work."""
    missing: list[str]
    """Parts that are not there, or make no progress."""
    progress: dict[str, float]
    """Seconds since each part last made progress."""
    notes: list[str]
    """For staff."""


HEALTH = Declaration("The process runs", (DeclaredResponse(dict[str, str]),))
READY = Declaration(
    "The worker has all that it needs",
    (
        DeclaredResponse(ReadinessBody, description="Ready."),
        DeclaredResponse(ReadinessBody, HTTPStatus.SERVICE_UNAVAILABLE, description="Not ready: something is missing."),
    ),
)
METRICS = Declaration(
    "Prometheus metrics", (DeclaredResponse(None, media="text/plain", description="Prometheus' text format."),)
)


def application(
    registry: HandlerRegistry,
    api: ShellHttpApi,
    parking: Parking,
    operations: Operations,
    metrics: Metrics,
    principals: Principals,
    ready: Readiness,
    limits: Limits | None = None,
) -> web.Application:
    """The aiohttp application of one worker."""
    app = probed(registry.name, metrics.registry, principals, ready, limits)
    add_parking(app, parking)
    add_undeliverable(app, api.store)
    add_operations(app, api.engine, operations)
    add_attention(app, api.engine, registry.service)
    add_explain(app, api.engine, registry.service, api.clock)
    if registry.service.routes:
        registry.service.routes(app, api)
    return app


def probed(
    name: str, metrics: CollectorRegistry, principals: Principals, ready: Readiness, limits: Limits | None = None
) -> web.Application:
    """An application that tells how its process is, and checks who calls any further route."""
    app = web.Application(middlewares=[_in_trace, protection(principals, limits)], client_max_size=MAX_REQUEST)

    async def health(request: web.Request) -> web.Response:
        return json_response({"status": "ok", "service": name, "build": version("orderbus")})

    async def readiness(request: web.Request) -> web.Response:
        missing = ready.missing()
        status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
        return json_response(ReadinessBody(not missing, missing, ready.progress(), ready.notes()), status)

    async def exposition(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics), headers={"Content-Type": "text/plain; version=0.0.4"})

    add_probe(app, "/health", health, HEALTH)
    add_probe(app, "/ready", readiness, READY)
    add_probe(app, "/metrics", exposition, METRICS)
    add_document(app, name, sessions=principals.has_sessions)
    return app
