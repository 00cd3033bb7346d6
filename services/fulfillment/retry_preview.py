"""`POST /orders/{key}/retry/preview`: what a retry would do. It reads only, and takes the body of the command."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from services.fulfillment.domain.retry import RetryPreview, retry_preview
from services.fulfillment.storage import Queries
from shared.contracts.fulfillment import RetryDelivery
from shared.core import Refused
from shared.shell.http.access import RequestHandler
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import ProblemResponse, json_response, not_found
from shared.shell.http.requests import command_in
from shared.shell.http.web import READ_REFUSED

PREVIEW = Declaration(
    "What a retry would do, or why it would be refused; nothing is changed",
    (DeclaredResponse(RetryPreview),),
    body=RetryDelivery,
    refused=(HTTPStatus.CONFLICT, *READ_REFUSED),
)


def retry_previews(queries: Queries) -> RequestHandler:
    async def show(request: web.Request) -> web.StreamResponse:
        command = await command_in(request, RetryDelivery)
        delivery = await queries.delivery(request.match_info["key"])
        if delivery is None:
            raise not_found("order in fulfillment")
        products = await queries.products({delivery.row_key(item.sku) for item in delivery.items})
        found = retry_preview(delivery, command, lambda item: products.get(delivery.row_key(item.sku)))
        if isinstance(found, Refused):
            raise ProblemResponse(HTTPStatus.CONFLICT, found.text, found.code, found.problems)
        return json_response(found)

    return show
