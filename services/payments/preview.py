"""`POST /orders/{key}/refund/preview`: what a refund would do. It reads only, and takes the body of the command."""

from __future__ import annotations

from http import HTTPStatus

import sqlalchemy as sa
from aiohttp import web

from services.payments.domain.payment import Payment
from services.payments.domain.preview import RefundPreview, preview
from services.payments.storage import payments
from shared.contracts.payments import RefundPayment
from shared.core import Refused
from shared.shell.http.access import RequestHandler
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import ProblemResponse, json_response
from shared.shell.http.requests import command_in
from shared.shell.ports.http_api import HttpApi
from shared.shell.postgres.tables import read_state

PREVIEW = Declaration(
    "What a refund would do, or why it would be refused; nothing is changed",
    (DeclaredResponse(RefundPreview),),
    body=RefundPayment,
    refused=(HTTPStatus.CONFLICT,),
)


def refund_preview(api: HttpApi) -> RequestHandler:
    data_of = sa.select(sa.cast(payments.c.data, sa.Text)).where(payments.c.key == sa.bindparam("key"))
    statement = sa.select(data_of.scalar_subquery().label("data"), sa.func.now().label("now"))

    async def show(request: web.Request) -> web.StreamResponse:
        command = await command_in(request, RefundPayment)
        async with api.engine.connect() as connection:
            row = (await connection.execute(statement, {"key": request.match_info["key"]})).one()
        found = preview(read_state(Payment, row.data) if row.data else None, command, row.now)
        if isinstance(found, Refused):
            raise ProblemResponse(HTTPStatus.CONFLICT, found.text, found.code, found.problems)
        return json_response(found)

    return show
