"""Discord's gateway against the sandbox, both judged by Discord's own OpenAPI description."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from deploy.sandboxes.discord import ADMIN, BOTS_ROLE, GUILD, TOKEN, VIP, Server
from deploy.sandboxes.faults import Fault
from services.fulfillment.domain.delivery import Item, ItemStatus
from services.fulfillment.domain.discord_connection import DiscordConnection
from services.fulfillment.domain.kinds.access import AccessOperation
from services.fulfillment.domain.kinds.discord_role import GiveRole, RemoveRole, RoleOperation
from services.fulfillment.gateways.discord.client import DiscordClient, Limited, RateLimits
from services.fulfillment.gateways.discord.diagnosis import Bot, checked
from services.fulfillment.gateways.discord.roles import DiscordRoles
from shared.contracts.discord import DiscordRole
from shared.core import NotTried, OperatorFault, Retry, Unknown
from shared.shell.http.outbound import Outbound, Response
from tests.integration.discord_rig import Rig, sandbox

ADA = "80351110224678912"


@dataclass
class Book:
    connections: dict[str, DiscordConnection] = field(
        default_factory=lambda: {"main": DiscordConnection(GUILD, "discord-bot")}
    )
    others: list[list[tuple[str, Item]]] = field(default_factory=list)
    """What is found, one look after another."""
    calls: list[str] = field(default_factory=list)
    current: bool = True

    async def connection(self, store: str, connection: str) -> DiscordConnection | None:
        return self.connections.get(connection)

    async def enter(self, operation: RoleOperation) -> None:
        self.calls.append(f"enter {operation.order}")

    async def entered(self, operation: RoleOperation) -> Sequence[tuple[str, Item]]:
        return self.others.pop(0) if self.others else []

    async def is_current(self, operation: AccessOperation) -> bool:
        return self.current


@dataclass
class Vault:
    token: str | None = TOKEN

    async def secret(self, store: str, name: str) -> str | None:
        return self.token if (store, name) == ("acme", "discord-bot") else None


@dataclass
class World:
    rig: Rig
    book: Book
    vault: Vault
    gateway: DiscordRoles
    client: DiscordClient

    async def give(self, **changes: Any) -> Any:
        return await self.gateway.perform(GiveRole("acme", "o-1", "1", role(**changes), ADA), "k")

    async def remove(self, **changes: Any) -> Any:
        return await self.gateway.perform(RemoveRole("acme", "o-1", "1", role(**changes), ADA), "k")

    def sent(self) -> list[str]:
        return [exchange.method for exchange in self.rig.exchanges]


def role(**changes: Any) -> DiscordRole:
    return DiscordRole.model_validate({"connection": "main", "role": VIP} | changes)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with sandbox(tmp_path) as rig:
        book, vault = Book(), Vault()
        client = DiscordClient(Outbound(private=True), rig.url, timeout=1)
        yield World(rig, book, vault, DiscordRoles(client, book, vault), client)
        await client.close()


async def test_a_role_is_given_and_removed_and_both_are_safe_to_repeat(world: World) -> None:
    assert [await world.give() for _ in range(2)] == [GiveRole.Done()] * 2
    assert world.rig.server.roles_of(ADA) == {VIP}
    assert world.book.calls == ["enter o-1", "enter o-1"]
    assert world.rig.server.reasons[0] == "Order o-1, item 1"

    assert [await world.remove() for _ in range(2)] == [RemoveRole.Done()] * 2
    assert world.rig.server.roles_of(ADA) == set()


async def test_requests_and_answers_are_as_discord_describes_them(world: World) -> None:
    await world.give()
    await world.remove()
    await world.give(role=ADMIN)
    await world.give(role="613425648685547999")
    world.rig.server.server = Server(has_left=[ADA])
    await world.give()
    world.vault.token = "wrong"
    await world.give()
    await checked(world.client, Bot("acme/other", GUILD, "discord-bot", TOKEN))

    assert world.rig.judge() >= 10
    assert {exchange.status for exchange in world.rig.exchanges} >= {200, 204, 401, 403, 404}


@pytest.mark.parametrize(
    ("server", "changes", "code", "hint"),
    [
        ({"has_left": [ADA]}, {}, "unknown_member", "Ask them to join it"),
        ({"may_manage_roles": False}, {}, "missing_permission", "lacks the permission Manage Roles"),
        ({"bot_position": 2}, {}, "missing_permission", "Role VIP is above the bot's own role"),
        ({}, {"role": ADMIN}, "missing_permission", "Role Administrators is above the bot's own role"),
        ({}, {"role": "613425648685547999"}, "unknown_role", "has no role 613425648685547999"),
    ],
)
async def test_what_discord_refuses_fails_with_a_remedy(
    world: World, server: dict[str, Any], changes: dict[str, Any], code: str, hint: str
) -> None:
    world.rig.server.server = Server(**server)

    answer = await world.give(**changes)

    assert isinstance(answer, GiveRole.Failed)
    assert (answer.code, hint in answer.text, "retry the order" in answer.text) == (code, True, True), answer.text
    assert TOKEN not in answer.text


async def test_a_diagnosis_that_cannot_be_read_leaves_discords_own_words(tmp_path: Path) -> None:
    odd = [{"id": "1", "position": None, "permissions": None}, {"id": VIP, "position": "x"}]

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "PUT":
            return web.json_response({"code": 50013}, status=403)
        return web.json_response(odd if request.path.endswith("/roles") else {"roles": None, "name": None})

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = DiscordClient(Outbound(private=True), f"http://127.0.0.1:{runner.addresses[0][1]}", timeout=1)
    answer = await DiscordRoles(client, Book(), Vault()).perform(GiveRole("acme", "o-1", "1", role(), ADA), "k")
    assert isinstance(answer, GiveRole.Failed)
    assert (answer.code, "Manage Roles" in answer.text) == ("missing_permission", True)
    await client.close()
    await runner.cleanup()


async def test_a_server_that_the_bot_is_not_on_fails_with_a_remedy(world: World) -> None:
    world.book.connections["main"] = DiscordConnection("613425648685547000", "discord-bot")
    answer = await world.give()
    assert isinstance(answer, GiveRole.Failed) and answer.code == "unknown_guild" and "Invite the bot" in answer.text


async def test_a_wrong_token_or_a_missing_setting_is_the_operators_fault(world: World) -> None:
    for token, hint in ((None, "is not set"), ("wrong", "token is invalid"), ("a\r\nX: 1", "is no bot's token")):
        world.vault.token = token
        answer = await world.give()
        assert isinstance(answer, OperatorFault) and hint in answer.text and "discord-bot" in answer.text
    answer = await world.give(connection="other")
    assert isinstance(answer, OperatorFault) and "orderbus discord configure" in answer.text
    world.book.current = False
    assert (await world.give(connection="other")).code == "not_needed"


async def test_what_is_gone_has_no_role_any_more(world: World) -> None:
    assert await world.remove(role="613425648685547999") == RemoveRole.Done()
    world.rig.server.server = Server(has_left=[ADA])
    assert await world.remove() == RemoveRole.Done()


async def test_discord_that_is_down_or_silent_is_asked_again(world: World) -> None:
    world.rig.server.faults.inject(Fault(answer=503, times=1))
    assert isinstance(await world.give(), Retry)
    world.rig.server.faults.inject(Fault(delay=3, times=1))
    assert isinstance(await world.give(), Unknown)
    assert await world.give() == GiveRole.Done()


GIVEN = Item("1", "vip", "VIP", 1, action=role(), status=ItemStatus.DELIVERED)


async def test_a_role_that_another_order_gives_is_kept(world: World) -> None:
    await world.give()
    world.book.others = [[("o-2", GIVEN)]]

    assert await world.remove() == RemoveRole.Done("o-2")

    assert world.rig.server.roles_of(ADA) == {VIP}
    assert "DELETE" not in world.sent()


async def test_a_role_that_another_order_gave_meanwhile_is_given_again(world: World) -> None:
    await world.give()
    world.book.others = [[], [("o-2", GIVEN)]]

    assert await world.remove() == RemoveRole.Done("o-2")

    assert world.sent() == ["PUT", "DELETE", "PUT"]
    assert world.rig.server.roles_of(ADA) == {VIP}


async def test_a_removal_waits_for_an_order_that_is_about_to_give_the_role(world: World) -> None:
    await world.give()
    giving = replace(GIVEN, status=ItemStatus.IN_PROGRESS)
    world.book.others = [[("o-2", giving)], [], [("o-2", giving)], [("o-2", GIVEN)]]

    for _ in range(2):
        answer = await world.remove()
        assert isinstance(answer, NotTried) and "order o-2" in answer.error
    assert await world.remove() == RemoveRole.Done("o-2")

    assert world.sent() == ["PUT", "DELETE", "PUT"]
    assert world.rig.server.roles_of(ADA) == {VIP}


async def test_no_call_is_made_before_a_bucket_is_full_again(world: World) -> None:
    world.rig.server.server = Server(calls=2)

    answers = [await world.give() for _ in range(4)]

    assert answers[:2] == [GiveRole.Done()] * 2
    assert all(isinstance(answer, NotTried) and 0 < (answer.after or 0) <= 1 for answer in answers[2:])
    assert len(world.rig.exchanges) == 2


async def test_a_call_that_is_limited_is_tried_exactly_when_discord_says(world: World) -> None:
    world.rig.server.server = Server(calls=1)
    other = DiscordClient(Outbound(private=True), world.rig.url)
    assert await world.give() == GiveRole.Done()

    answer = await DiscordRoles(other, world.book, world.vault).perform(GiveRole("acme", "o-2", "1", role(), ADA), "k")

    await other.close()
    said = float(world.rig.exchanges[-1].answer_headers["X-RateLimit-Reset-After"])
    assert isinstance(answer, Retry) and answer.after == pytest.approx(said, abs=0.002)
    assert world.rig.judge() == 2


async def test_the_test_of_a_connection_says_which_roles_can_be_given(world: World) -> None:
    bot = Bot("acme/main", GUILD, "discord-bot", TOKEN)

    check = await checked(world.client, bot)

    assert (check.status, check.bot, check.guild, check.problems) == ("ok", "Sandbox Bot", "Sandbox Server", ())
    assert {one.id: one.can_be_given for one in check.roles} == {
        **{ADMIN: False, BOTS_ROLE: False, GUILD: False},
        VIP: True,
    }
    world.rig.server.server = Server(may_manage_roles=False)
    check = await checked(world.client, bot)
    assert check.status == "faulty" and "Manage Roles" in check.problems[0]
    world.rig.server.server = Server(token="another")
    assert "discord-bot again" in (await checked(world.client, bot)).problems[0]


def test_limits_are_those_of_a_bot_and_a_bucket() -> None:
    now = [100.0]
    limits = RateLimits(lambda: now[0])
    full = {"X-RateLimit-Bucket": "b", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "2.5"}

    limits.learn("bot", "PUT /r", "g", Response(204, full, b""))
    limits.learn("bot", "DELETE /r", "g", Response(204, {"X-RateLimit-Bucket": "b"}, b""))

    assert limits.wait("bot", "PUT /r", "g") == limits.wait("bot", "DELETE /r", "g") == 2.5, "one bucket"
    assert limits.wait("bot", "PUT /r", "other") == limits.wait("another", "PUT /r", "g") == 0.0
    now[0] += 2.5
    assert limits.wait("bot", "PUT /r", "g") == 0.0

    body = b'{"message": "slow down", "retry_after": 3.25, "global": true}'
    assert limits.learn("bot", "GET /x", "", Response(429, {}, body)) == 3.25
    assert limits.wait("bot", "PUT /r", "other") == 3.25 and limits.wait("another", "PUT /r", "g") == 0.0
    assert limits.learn("bot", "GET /y", "", Response(429, {"Retry-After": "7"}, b"<html>")) == 7.0


async def test_calls_in_progress_count(world: World) -> None:
    now = [0.0]
    limits = RateLimits(lambda: now[0])
    left = {"X-RateLimit-Remaining": "2", "X-RateLimit-Reset-After": "5"}
    limits.learn("bot", "PUT /r", "g", Response(204, left, b""))
    assert [limits.wait("bot", "PUT /r", "g") > 0 for _ in range(3)] == [False, False, True]
    assert not isinstance(await world.client.call("GET", "/users/@me", TOKEN, bot="b", route="/users/@me"), Limited)
