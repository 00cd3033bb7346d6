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
from shared.core.fast_dataclasses import replace
from shared.shell.http.access import ORDER, RequestHandler
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import ProblemResponse, json_response
from shared.shell.http.requests import command_in
from shared.shell.ports.http_api import HttpApi
from shared.shell.postgres.tables import read_state


def waiting_messages(parked: int) -> str:
    """What is said of an order's messages that are parked in payments; empty for none."""
    messages = "1 message of this order waits" if parked == 1 else f"{parked} messages of this order wait"
    return f"{messages} in payments, and what they change is not counted." if parked else ""


PREVIEW = Declaration(
    "What a refund would do, or why it would be refused; nothing is changed",
    (DeclaredResponse(RefundPreview),),
    body=RefundPayment,
    refused=(HTTPStatus.CONFLICT,),
)


def refund_preview(api: HttpApi) -> RequestHandler:
    data_of = sa.select(sa.cast(payments.c.data, sa.Text)).where(payments.c.key == sa.bindparam("key"))
    parked = sa.text("(select count(*) from parked where parked.key = :key) as parked")
    statement = sa.select(data_of.scalar_subquery().label("data"), sa.func.now().label("now"), parked)

    async def show(request: web.Request) -> web.StreamResponse:
        command = await command_in(request, RefundPayment)
        async with api.engine.connect() as connection:
            row = (await connection.execute(statement, {"key": request.match_info["key"]})).one()
        if not row.data:
            text = f"There is no such {ORDER}. {waiting_messages(row.parked)}".strip()
            raise ProblemResponse(HTTPStatus.NOT_FOUND, text, "not_found")
        found = preview(read_state(Payment, row.data), command, row.now)
        if isinstance(found, Refused):
            text = f"{found.text} {waiting_messages(row.parked)}".strip()
            raise ProblemResponse(HTTPStatus.CONFLICT, text, found.code, found.problems)
        return json_response(replace(found, parked=row.parked))

    return show
