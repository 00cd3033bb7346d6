"""`PUT /orders/{key}/items/{item}/file`: a file made to order, for one item."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
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
from shared.contracts.problems import problems_of
from shared.contracts.values import FreeText, Wait
from shared.core import Refused
from shared.shell.http.access import FindStore, add_route, found_by
from shared.shell.http.declaration import Declaration, DeclaredResponse, Query
from shared.shell.http.problems import bad_request, not_found
from shared.shell.http.requests import IDEMPOTENCY_KEY, Words, is_read, query_in
from shared.shell.http.web import CommandAccepted, actor_of, answered, identity_of, refusal
from shared.shell.ports.http_api import Accepted, HttpApi

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


@dataclass(frozen=True)
class OrderUpload:
    """A file for one item of one order: stored, then attached. The worker may die between any two steps; staff
    then repeat the request, which has the same name for it."""

    key: str
    command: AttachDelivery
    delivery: Callable[[], Awaitable[Delivery | None]]
    store: Callable[[], Awaitable[object]]
    remove: Callable[[], Awaitable[object]]
    submit: Callable[[], Awaitable[Accepted | Refused]]

    async def made(self) -> Accepted | Refused | None:
        """None: fulfillment does not know the order. What is refused leaves no file."""
        delivery = await self.delivery()
        if delivery is None:
            return None
        refused = None
        if not self._has(delivery):  # otherwise this repeats an earlier request
            refused = attaching_refusal(delivery, self.command, self.key)
            if not refused:
                await self.store()
        answer = refused or await self.submit()
        if isinstance(answer, Refused) and not self._has(await self.delivery()):
            await self.remove()
        return answer

    def _has(self, delivery: Delivery | None) -> bool:
        item = delivery.find(self.command.item) if delivery else None
        return bool(item and self.command.file and item.attached_file(self.command.file))


def name_of_upload(key: str, item: str, identity: str) -> str:
    """That of the request: a repetition writes to the same place."""
    return order_file(key, hashlib.sha256(f"{item}\x00{identity}".encode()).hexdigest()[:32])


def add_order_file(
    application: web.Application, api: HttpApi, uploads: Uploads, queries: Queries, store_of: FindStore
) -> None:
    async def attach(request: web.Request) -> web.StreamResponse:
        key, item, identity = request.match_info["key"], request.match_info["item"], identity_of(request)
        command = _command(request, key, item, identity)
        store, file = await store_of(key), command.file or ""
        upload = OrderUpload(
            key,
            command,
            delivery=partial(queries.delivery, key),
            store=partial(uploads.take, request, store or "", file),
            remove=partial(_removed, uploads, store or "", file),
            submit=partial(api.submit, command, key, identity=identity, actor=actor_of(request)),
        )
        answer = await upload.made() if store else None
        if answer is None:
            raise not_found("order in fulfillment")
        if isinstance(answer, Refused):
            raise refusal(request, answer, close=not is_read(request))
        response = answered(request, answer)
        if not is_read(request):
            response.force_close()
        return response

    add_route(application, "PUT", PATH, attach, AttachDelivery.type, found_by(store_of), ATTACH)


def _command(request: web.Request, key: str, item: str, identity: str) -> AttachDelivery:
    """Raises ProblemResponse."""
    asked = query_in(request, OrderFile)
    try:
        return AttachDelivery(
            item=item,
            file=name_of_upload(key, item, identity),
            file_name=asked.name,
            note=asked.note,
            notify=asked.notify,
            expires_after=asked.expires_after,
            reason=asked.reason,
        )
    except ValidationError as wrong:
        raise bad_request("The command is invalid.", problems_of(wrong)) from None


async def _removed(uploads: Uploads, store: str, file: str) -> None:
    """No reader would find it. Where it cannot be removed, the log names it."""
    if uploads.files:
        try:
            await uploads.files.delete(store, file)
        except FilesTrouble as trouble:
            log.error("file of a refused upload is left", store=store, file=file, error=str(trouble))
