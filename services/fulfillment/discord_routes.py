"""Connections to Discord by HTTP: configured, read, and tested before anything is sold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

from aiohttp import web

from services.fulfillment.domain.discord_connection import DiscordConnection, connection_key
from services.fulfillment.gateways.asked_secrets import asked
from services.fulfillment.gateways.discord.client import DiscordClient
from services.fulfillment.gateways.discord.diagnosis import Bot, DiscordCheck, checked, token_fault
from services.fulfillment.secrets import Secrets
from services.fulfillment.storage import Queries, deliveries
from shared.contracts.connections import ConfigureDiscord
from shared.core import NotTried, OperatorFault
from shared.shell.http.access import IN_PATH, add_route, store_column
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import ProblemResponse, json_response, not_found
from shared.shell.http.web import READ_REFUSED, add_commands
from shared.shell.ports.http_api import HttpApi

PATH = "/stores/{store}/discord/{connection}"
CONNECTION = Declaration(
    "A store's connection to a Discord server", (DeclaredResponse(DiscordConnection),), refused=READ_REFUSED
)
TEST = Declaration(
    "Whether a connection to Discord works, which roles its bot can give, and else what to fix; nothing is changed",
    (DeclaredResponse(DiscordCheck),),
    refused=READ_REFUSED,
)


def discord_tests(secrets: Secrets, client: DiscordClient) -> Callable[[web.Application, HttpApi], None]:
    def routes(application: web.Application, api: HttpApi) -> None:
        store_of = store_column(api.engine, deliveries)
        add_commands(application, api, [("PUT", PATH, ConfigureDiscord)], store_of, key_of=_key)
        views = _Views(Queries(api.engine), secrets, client)
        add_route(application, "GET", PATH, views.connection, "discord.read", IN_PATH, CONNECTION)
        add_route(application, "POST", f"{PATH}/test", views.test, "discord.read", IN_PATH, TEST)

    return routes


def _key(path: Mapping[str, str]) -> str:
    return connection_key(path["store"], path["connection"])


class _Views:
    def __init__(self, queries: Queries, secrets: Secrets, client: DiscordClient) -> None:
        self._queries, self._secrets, self._client = queries, secrets, client

    async def connection(self, request: web.Request) -> web.StreamResponse:
        return json_response(await self._connection(request))

    async def test(self, request: web.Request) -> web.StreamResponse:
        store, name = request.match_info["store"], request.match_info["connection"]
        connection = await self._connection(request)
        token = await asked(self._secrets, store, connection.token)
        if isinstance(token, NotTried):
            raise ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, token.error, "unavailable")
        if isinstance(token, OperatorFault):
            return json_response(DiscordCheck("faulty", (token.text,)))
        if token_fault(token):
            text = f"Secret {connection.token} is no bot's token: orderbus secrets set."
            return json_response(DiscordCheck("faulty", (text,)))
        bot = Bot(f"{store}/{name}", connection.guild, connection.token, token)
        return json_response(await checked(self._client, bot))

    async def _connection(self, request: web.Request) -> DiscordConnection:
        found = await self._queries.discord_connection(request.match_info["store"], request.match_info["connection"])
        if found is None:
            raise not_found("Discord connection")
        return found
