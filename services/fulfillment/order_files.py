"""`PUT /orders/{key}/items/{item}/file`: a file made to order, for one item."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

import structlog
from aiohttp import web
from pydantic import AfterValidator, StringConstraints, ValidationError

from services.fulfillment.domain.by_hand import attaching_refusal
from services.fulfillment.domain.delivery import Delivery
from services.fulfillment.gateways.files import FilesTrouble, order_file
from services.fulfillment.storage import Queries
from services.fulfillment.uploads import ANY_FILE, UPLOAD_REFUSED, Uploads
from shared.contracts.delivery_work import AttachDelivery
from shared.contracts.envelope import problems_of
from shared.contracts.values import FreeText, Wait
from shared.core import Refused
from shared.shell.http.access import FindStore, add_route, found_by
from shared.shell.http.declaration import Declaration, DeclaredResponse, Query
from shared.shell.http.problems import ProblemResponse, bad_request, not_found
from shared.shell.http.requests import IDEMPOTENCY_KEY, Words, is_read, query_in
from shared.shell.http.web import CommandAccepted, actor_of, answered, identity_of
from shared.shell.ports.http_api import HttpApi

PATH = "/orders/{key}/items/{item}/file"
log = structlog.get_logger(__name__)


def _no_path(name: str) -> str:
    if "/" in name or "\\" in name:
        raise ValueError("must not contain / or \\")
    return name


class OrderFile(Query):
    name: Annotated[Words, StringConstraints(min_length=1, max_length=200), AfterValidator(_no_path)]
    """What the customer sees."""
    reason: Annotated[Words, StringConstraints(min_length=1, max_length=200)]
    """Why, for the order's timeline."""
    note: FreeText = ""
    """For the customer."""
    notify: bool = True
    """False: the customer gets it with the next resending."""
    expires_after: Wait = timedelta(days=7)
    """How long each link works (ISO 8601)."""


ATTACH = Declaration(
    "Upload a file for an item of one order: the customer gets a signed link, until the item is revoked",
    (DeclaredResponse(CommandAccepted, HTTPStatus.ACCEPTED, description="Stored and committed."),),
    query=OrderFile,
    headers=(IDEMPOTENCY_KEY,),
    file_media=ANY_FILE,
    refused=(HTTPStatus.NOT_FOUND, *UPLOAD_REFUSED, HTTPStatus.UNPROCESSABLE_ENTITY),
)


def add_order_file(
    application: web.Application, api: HttpApi, uploads: Uploads, queries: Queries, store_of: FindStore
) -> None:
    async def attach(request: web.Request) -> web.StreamResponse:
        key, item, identity = request.match_info["key"], request.match_info["item"], identity_of(request)
        command = _command(request, key, item, identity)
        store, delivery = await store_of(key), await queries.delivery(key)
        if not store or delivery is None:
            raise not_found("order in fulfillment")
        if not _has(delivery, command):  # otherwise this repeats an earlier request
            if refused := attaching_refusal(delivery, command, key):
                raise ProblemResponse(HTTPStatus.CONFLICT, refused.text, refused.code, refused.problems, close=True)
            await uploads.take(request, store, command.file or "")
        answer = await api.submit(command, key, identity=identity, actor=actor_of(request))
        if isinstance(answer, Refused):
            await _removed(uploads, queries, store, key, command)
        response = answered(answer)
        if not is_read(request):
            response.force_close()
        return response

    add_route(application, "PUT", PATH, attach, AttachDelivery.type, found_by(store_of), ATTACH)


def _command(request: web.Request, key: str, item: str, identity: str) -> AttachDelivery:
    """The name of the file is that of the request: a repetition writes to the same place. Raises ProblemResponse."""
    asked = query_in(request, OrderFile)
    id = hashlib.sha256(f"{item}\x00{identity}".encode()).hexdigest()[:32]
    try:
        return AttachDelivery(
            item=item,
            file=order_file(key, id),
            file_name=asked.name,
            note=asked.note,
            notify=asked.notify,
            expires_after=asked.expires_after,
            reason=asked.reason,
        )
    except ValidationError as wrong:
        raise bad_request("The command is invalid.", problems_of(wrong)) from None


def _has(delivery: Delivery, command: AttachDelivery) -> bool:
    item = delivery.find(command.item)
    return bool(item and command.file and item.attached_file(command.file))


async def _removed(uploads: Uploads, queries: Queries, store: str, key: str, command: AttachDelivery) -> None:
    """Refused meanwhile: no reader would find the file. Where it cannot be removed, the log names it."""
    delivery = await queries.delivery(key)
    if uploads.files and command.file and not (delivery and _has(delivery, command)):
        try:
            await uploads.files.delete(store, command.file)
        except FilesTrouble as trouble:
            log.error("file of a refused upload is left", store=store, file=command.file, error=str(trouble))
