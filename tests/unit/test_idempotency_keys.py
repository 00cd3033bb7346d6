"""Every API client has Idempotency-Keys of its own."""

from __future__ import annotations

import hashlib
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shared.api_clients import ApiClientSettings
from shared.shell.http.principals import Principals
from shared.shell.http.web import add_commands, protection
from shared.shell.ports.http_api import Accepted
from tests.unit.shell.meter import Count


class Api:
    def __init__(self) -> None:
        self.identities: list[str] = []

    async def submit(self, message: object, key: str, *, identity: str, **others: Any) -> Accepted:
        self.identities.append(identity)
        return Accepted("id")


def client(name: str) -> ApiClientSettings:
    digest = hashlib.sha256(f"token-of-{name}".encode()).hexdigest()
    # Unchecked: no client in the settings may have the operator's name.
    return ApiClientSettings.model_construct(name=name, token_sha256=(digest,), stores=("*",), permissions=("*",))


async def test_two_clients_may_use_the_same_key() -> None:
    async def store_of(key: str) -> str:
        return "northwind"

    api = Api()
    application = web.Application(middlewares=[protection(Principals([client("a"), client("b"), client("staff")]))])
    add_commands(application, api, [("POST", "/meters/{key}", Count)], store_of)  # type: ignore[arg-type]
    async with TestClient(TestServer(application)) as http:
        for name in ("a", "a", "b", "staff"):
            headers = {"Authorization": f"Bearer token-of-{name}", "Idempotency-Key": "refund-1"}
            answer = await http.post("/meters/m-1", json={"what": "x"}, headers=headers)
            assert answer.status == 202, await answer.text()
    first, again, other, operator = api.identities
    assert first == again and len({first, other, operator}) == 3
    assert operator == "refund-1", "as it was when there was one client"
