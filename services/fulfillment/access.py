"""The gateways of what other systems grant and revoke: course platforms, HTTP actions, Discord."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.discord_routes import discord_tests
from services.fulfillment.domain.kinds.discord_role import GiveRole, RemoveRole
from services.fulfillment.domain.kinds.http_action import CallHttpAction, RevokeHttpAction
from services.fulfillment.domain.operations import GrantAccess, RevokeAccess
from services.fulfillment.domain.waiting_calls import ReadWaitingCalls
from services.fulfillment.gateways.courses import Courses
from services.fulfillment.gateways.discord.book import DatabaseRoleBook
from services.fulfillment.gateways.discord.client import DiscordClient
from services.fulfillment.gateways.discord.roles import DiscordRoles
from services.fulfillment.gateways.http_actions import HttpActions
from services.fulfillment.gateways.waiting_calls import WaitingCalls
from services.fulfillment.secrets import Secrets
from services.fulfillment.settings import FulfillmentSettings
from services.fulfillment.storage import Queries
from shared.core import Operation
from shared.shell.http.outbound import Outbound
from shared.shell.ports.gateway import Gateway
from shared.shell.ports.http_api import HttpApi


@dataclass(frozen=True, slots=True)
class Access:
    gateways: Mapping[type[Operation], Gateway]
    routes: Callable[[web.Application, HttpApi], None]
    resources: list[Callable[[], Awaitable[None]]]


def access(settings: FulfillmentSettings, engine: AsyncEngine, secrets: Secrets) -> Access:
    queries, book = Queries(engine), DatabaseRoleBook(engine)
    courses = Courses(Outbound(private=settings.webhooks_to_private_addresses), queries)
    actions = HttpActions(Outbound(private=settings.webhooks_to_private_addresses), queries, secrets)
    discord = DiscordClient(Outbound(private=True), settings.fulfillment.discord_url)
    roles = DiscordRoles(discord, book, secrets)
    return Access(
        gateways={
            GrantAccess: courses,
            RevokeAccess: courses,
            CallHttpAction: actions,
            RevokeHttpAction: actions,
            GiveRole: roles,
            RemoveRole: roles,
            ReadWaitingCalls: WaitingCalls(queries.waiting),
        },
        routes=discord_tests(secrets, discord),
        resources=[courses.close, actions.close, discord.close],
    )
