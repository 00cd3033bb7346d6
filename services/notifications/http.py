"""Notifications' routes: webhook endpoints, an order's notifications, resends, replays. Feeds: `feeds.py`."""

from __future__ import annotations

import base64
import functools
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from aiohttp import web
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifications.domain.endpoint import Endpoint
from services.notifications.feeds import add_feeds
from services.notifications.gateways.feed_tokens import FeedTokens
from services.notifications.storage import TriedAgain, notification_logs, read_endpoints, read_tried_again, told_of
from services.notifications.views import LOST, NOTIFICATIONS, lost_messages, order_notifications
from shared.contracts.addresses import reach_of_url, without_password
from shared.contracts.envelope import read_key
from shared.contracts.notifications import (
    PauseWebhook,
    RegisterWebhook,
    RemoveWebhook,
    ReplayLostWebhooks,
    ReplayWebhooks,
    ResendLostMails,
    ResendMails,
    ResumeWebhook,
    SettleMail,
    WebhookEvent,
)
from shared.contracts.values import CallableUrl, Given
from shared.core import Command, Problem, Refused
from shared.shell.http.access import IN_PATH, RequestHandler, add_route, found_by, store_column
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import ProblemResponse, bad_request, json_response
from shared.shell.http.requests import IDEMPOTENCY_KEY, body_in, command_in
from shared.shell.http.web import (
    COMMAND_REFUSED,
    actor_of,
    add_commands,
    answered,
    command_declaration,
    identity_of,
)
from shared.shell.ports.http_api import HttpApi, Routes

TOLD_WITHIN = 5.0
"""Seconds in which checkout tells of a store that was just made, as a rule."""


def routes(tokens: FeedTokens, writes: AsyncEngine, streams: int, *, private: bool) -> Routes:
    """`writes`: for the marks of readers. `streams`: how many of one feed may be open. `private`: webhooks may be
    registered at private addresses."""

    def add(application: web.Application, api: HttpApi) -> None:
        _add_routes(application, api, private=private)
        add_feeds(application, api.engine, writes, tokens, streams)

    return add


def _add_routes(application: web.Application, api: HttpApi, *, private: bool) -> None:
    store_of = store_column(api.engine, notification_logs)
    add_commands(
        application,
        api,
        [
            ("POST", "/orders/{key}/webhooks/replay", ReplayWebhooks),
            ("POST", "/orders/{key}/mails/resend", ResendMails),
            ("POST", "/orders/{key}/mails/settle", SettleMail),
            ("POST", "/stores/{store}/lost/webhooks/replay", ReplayLostWebhooks),
            ("POST", "/stores/{store}/lost/mails/resend", ResendLostMails),
        ],
        store_of,
    )
    add = functools.partial(add_route, application)
    add(
        "GET",
        "/orders/{key}/notifications",
        order_notifications(api),
        "notification.read",
        found_by(store_of),
        NOTIFICATIONS,
    )
    add("GET", "/stores/{store}/lost", lost_messages(api), "notification.read", IN_PATH, LOST)
    add("GET", "/stores/{store}/webhooks", _list(api), "webhook.read", IN_PATH, LISTING)
    add("POST", "/stores/{store}/webhooks", _register(api, private=private), RegisterWebhook.type, IN_PATH, REGISTER)
    for method, path, kind in (
        ("DELETE", "", RemoveWebhook),
        ("POST", "/pause", PauseWebhook),
        ("POST", "/resume", ResumeWebhook),
    ):
        whole = "/stores/{store}/webhooks/{endpoint}" + path
        add(method, whole, _endpoint_command(api, kind), kind.type, IN_PATH, command_declaration(kind, ("endpoint",)))


# Endpoints of a store


class NewEndpoint(Given):
    """The body of `POST /stores/{store}/webhooks`."""

    url: CallableUrl
    """Where events are sent by POST."""
    events: tuple[WebhookEvent, ...] = Field(min_length=1)
    """Which events are sent."""


@dataclass(frozen=True, slots=True)
class ShownEndpoint:
    """Without its secret."""

    endpoint: str
    """The webhook endpoint's id within the store."""
    url: str
    """Where events are sent by POST."""
    events: Sequence[str]
    """Which events are sent."""
    paused: bool
    """Deliveries are kept instead of sent."""
    reason: str
    """Why it is paused; empty: it is not, or no reason was given."""
    since: datetime
    """When it was registered."""
    waiting: int = 0
    """How many deliveries it has not accepted so far: they are tried again."""
    waiting_since: datetime | None = None
    """When the oldest of these was to be sent."""
    error: str = ""
    """What it answers to them: `HTTP 401`, or why there is no connection. Empty: none waits."""


@dataclass(frozen=True, slots=True)
class MadeEndpoint:
    """The endpoint that was registered."""

    endpoint: str
    """The webhook endpoint's id within the store."""
    url: str
    """Where events are sent by POST."""
    events: Sequence[str]
    """Which events are sent."""
    paused: bool
    """Deliveries are kept instead of sent."""
    secret: str | None
    """Shown once: null in the reply to a repetition."""
    duplicate: bool
    """An earlier request with the same Idempotency-Key had registered it."""


@dataclass(frozen=True, slots=True)
class EndpointList:
    """A store's webhook endpoints."""

    webhooks: list[ShownEndpoint]
    """All of them, without their secrets."""


LISTING = Declaration("A store's webhook endpoints", (DeclaredResponse(EndpointList),), refused=(HTTPStatus.CONFLICT,))
REGISTER = Declaration(
    "Register a webhook endpoint",
    (
        DeclaredResponse(MadeEndpoint, HTTPStatus.CREATED),
        DeclaredResponse(MadeEndpoint, description="An earlier request with the same Idempotency-Key had made it."),
    ),
    body=NewEndpoint,
    headers=(IDEMPOTENCY_KEY,),
    refused=COMMAND_REFUSED,
)


def _register(api: HttpApi, *, private: bool) -> RequestHandler:
    """Makes a secret and shows it once. The endpoint's id is derived from the Idempotency-Key, so a repetition finds
    what the first request made; the reply has no secret then, since it cannot be shown again."""

    async def handle(request: web.Request) -> web.StreamResponse:
        store, identity = _store(request), identity_of(request)
        new = await body_in(request, NewEndpoint, "endpoint")
        if not private and reach_of_url(new.url) != "public":
            problem = Problem(field="url", code="private_address", text="is a private address, which is not called")
            raise bad_request("The endpoint is invalid.", [problem])
        endpoint = "we_" + hashlib.sha256(f"{store}\x00{identity}".encode()).hexdigest()[:20]
        known = (await told_of(api.engine, store, TOLD_WITHIN)).find(endpoint)
        if known is not None:
            if (known.url, known.events) != (new.url, tuple(dict.fromkeys(new.events))):
                raise ProblemResponse(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    "This Idempotency-Key was used for another endpoint.",
                    "idempotency_key_reused",
                )
            made = MadeEndpoint(
                known.id, without_password(known.url), known.events, known.paused, secret=None, duplicate=True
            )
            return json_response(made)
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        command = RegisterWebhook(endpoint=endpoint, url=new.url, events=new.events, secret=secret)
        answer = await api.submit(
            *(command, store),
            identity=identity,
            actor=actor_of(request),
            store=store,
            compared_by=command.model_copy(update={"secret": ""}),  # each repetition has another one
        )
        if isinstance(answer, Refused):
            return answered(request, answer)
        shown = None if answer.duplicate else secret
        made = MadeEndpoint(
            endpoint, without_password(new.url), new.events, paused=False, secret=shown, duplicate=answer.duplicate
        )
        return json_response(made, HTTPStatus.OK if answer.duplicate else HTTPStatus.CREATED)

    return handle


def _list(api: HttpApi) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        known = await read_endpoints(api.engine, store := _store(request))
        late = await read_tried_again(api.engine, store, known)
        return json_response(EndpointList([_shown(endpoint, late.get(endpoint.id)) for endpoint in known.endpoints]))

    return handle


def _endpoint_command(api: HttpApi, kind: type[Command]) -> RequestHandler:
    """A command about the path's endpoint. The body may contain more fields, such as a reason."""

    async def handle(request: web.Request) -> web.StreamResponse:
        store, identity, command = _store(request), identity_of(request), await command_in(request, kind)
        return answered(
            request, await api.submit(command, store, identity=identity, actor=actor_of(request), store=store)
        )

    return handle


def _shown(endpoint: Endpoint, late: TriedAgain | None) -> ShownEndpoint:
    return ShownEndpoint(
        *(endpoint.id, without_password(endpoint.url), endpoint.events, endpoint.paused, endpoint.reason),
        since=endpoint.since,
        waiting=late.count if late else 0,
        waiting_since=late.since if late else None,
        error=late.error if late else "",
    )


def _store(request: web.Request) -> str:
    store, wrong = read_key(request.match_info["store"].encode())
    if wrong:
        raise bad_request(f"The path does not name a store: {wrong}.")
    return store
