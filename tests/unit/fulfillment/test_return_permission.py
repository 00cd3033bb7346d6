"""Who may return items may not refund them for that: a return with a refund needs the permission for both."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shared.api_clients import ApiClientSettings
from shared.contracts.delivery_work import ReturnDelivery
from shared.shell.http.principals import Principals
from shared.shell.http.web import add_commands, protection
from shared.shell.ports.http_api import Accepted

RETURN: dict[str, Any] = {"items": [{"item": "1"}], "reason": "Too small."}
TOKEN = "token-of-the-desk"


class Accepting:
    async def submit(self, *given: object, **named: object) -> Accepted:
        return Accepted("1", duplicate=False)


async def store_of(key: str) -> str:
    return "acme"


async def answer_to(permissions: list[str], body: dict[str, Any]) -> tuple[int, str]:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    desk = ApiClientSettings(name="desk", token_sha256=[digest], stores=["acme"], permissions=permissions)
    application = web.Application(middlewares=[protection(Principals([desk]))])
    add_commands(application, Accepting(), [("POST", "/orders/{key}/return", ReturnDelivery)], store_of)  # type: ignore[arg-type]
    headers = {"Idempotency-Key": "k-1", "Authorization": f"Bearer {TOKEN}"}
    async with TestClient(TestServer(application)) as client:
        answer = await client.post("/orders/o-1/return", json=body, headers=headers)
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("permissions", "refund", "status"),
    [
        (["delivery.return"], False, 202),
        (["delivery.return"], True, 403),
        (["delivery.return", "payment.refund"], True, 202),
        (["*"], True, 202),
    ],
)
async def test_a_return_with_a_refund_needs_both_permissions(permissions: list[str], refund: bool, status: int) -> None:
    answered, text = await answer_to(permissions, RETURN | {"refund": refund})
    assert answered == status
    assert ("This needs the permission payment.refund." in text) == (status == 403)
