"""Roles of members: given and removed, each safe to repeat.

Before a role is removed, it is looked up which other executions give it; and again afterwards, since one may have
begun meanwhile: then the removal waits for its outcome, and the role is given again if it was delivered. Each execution
is entered before its call, so none is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.fulfillment.domain.delivery import Item
from services.fulfillment.domain.discord_connection import DiscordConnection
from services.fulfillment.domain.kinds.access import AccessOperation
from services.fulfillment.domain.kinds.discord_role import Giver, GiveRole, RemoveRole, RoleOperation, other_giver
from services.fulfillment.gateways.asked_secrets import asked
from services.fulfillment.gateways.discord.client import DiscordClient, Limited, error_code
from services.fulfillment.gateways.discord.diagnosis import (
    UNKNOWN_GUILD,
    UNKNOWN_MEMBER,
    UNKNOWN_ROLE,
    Bot,
    diagnosis,
    remedy,
    token_fault,
)
from services.fulfillment.secrets import Secrets
from shared.core import NoOutcome, NotDone, NotTried, OperatorFault, Outcome, Retry, Unknown
from shared.shell.http.outbound import Blocked, NoConnection, NotSent, OutboundError, Response, retry_after

UNKNOWN_USER = 10013
GONE = (UNKNOWN_MEMBER, UNKNOWN_ROLE, UNKNOWN_USER)
"""What is not there has no role."""
UNDECIDED = 15.0
"""Seconds after which it is looked again whether another order has given the role."""


class BookUnreadable(Exception):
    """Fulfillment's own database does not answer."""


class RoleBook(Protocol):
    """Connections, and who gives roles to whom. Each raises BookUnreadable."""

    async def connection(self, store: str, connection: str) -> DiscordConnection | None: ...

    async def enter(self, operation: RoleOperation) -> None:
        """That the execution is to give its role to its member."""
        ...

    async def entered(self, operation: RoleOperation) -> Sequence[tuple[str, Item]]:
        """All executions that were ever to give this role to this member, as they are now, with their orders."""
        ...

    async def is_current(self, operation: AccessOperation) -> bool: ...


class DiscordRoles:
    """Gateway of GiveRole and RemoveRole."""

    def __init__(self, client: DiscordClient, book: RoleBook, secrets: Secrets) -> None:
        self._client = client
        self._book = book
        self._secrets = secrets

    async def perform(self, operation: GiveRole | RemoveRole, key: str) -> Outcome | NoOutcome:
        try:
            result = await self._perform(operation)
        except BookUnreadable:
            return NotTried("The fulfillment database does not answer.")
        if isinstance(result, OperatorFault) and not await self._book.is_current(operation):
            return type(operation).Failed("not_needed", f"Not retried, since it is no longer needed. {result.text}")
        return result

    async def find(self, operation: RoleOperation, key: str) -> Outcome | NotDone | NoOutcome:
        return NotDone()

    async def close(self) -> None:
        await self._client.close()

    async def _perform(self, operation: GiveRole | RemoveRole) -> Outcome | NoOutcome:
        bot = await self._bot(operation)
        if not isinstance(bot, Bot):
            return bot
        if isinstance(operation, GiveRole):
            await self._book.enter(operation)
            return await self._give(operation, bot)
        if giver := other_giver(operation, await self._book.entered(operation)):
            return await self._keep(operation, bot, giver)
        removed = await self._remove(operation, bot)
        if isinstance(removed, RemoveRole.Done) and (
            giver := other_giver(operation, await self._book.entered(operation))
        ):
            return await self._keep(operation, bot, giver)
        return removed

    async def _bot(self, operation: RoleOperation) -> Bot | NoOutcome:
        name = operation.action.connection
        connection = await self._book.connection(operation.store, name)
        if connection is None:
            return OperatorFault(f"Discord connection {name} is not configured: orderbus discord configure.")
        token = await asked(self._secrets, operation.store, connection.token)
        if not isinstance(token, str):
            return token
        if token_fault(token):
            return OperatorFault(f"Secret {connection.token} is no bot's token: set it again.")
        return Bot(f"{operation.store}/{name}", connection.guild, connection.token, token)

    async def _give(self, operation: GiveRole, bot: Bot) -> Outcome | NoOutcome:
        reply = await self._call("PUT", operation, bot)
        if not isinstance(reply, Response):
            return reply
        return GiveRole.Done() if reply.status in (200, 204) else await self._refused(operation, bot, reply)

    async def _keep(self, operation: RemoveRole, bot: Bot, giver: Giver) -> Outcome | NoOutcome:
        """The member has the role for another order: make sure of it, since an earlier call may have removed it."""
        if not giver.delivered:
            return NotTried(f"Waits until order {giver.order}, which gives the same role, is delivered.", UNDECIDED)
        reply = await self._call("PUT", operation, bot)
        if not isinstance(reply, Response):
            return reply
        if reply.status in (200, 204) or error_code(reply) in GONE:
            return RemoveRole.Done(giver.order)
        return await self._refused(operation, bot, reply)

    async def _remove(self, operation: RemoveRole, bot: Bot) -> Outcome | NoOutcome:
        reply = await self._call("DELETE", operation, bot)
        if not isinstance(reply, Response):
            return reply
        if reply.status in (200, 204) or error_code(reply) in GONE:
            return RemoveRole.Done()
        return await self._refused(operation, bot, reply)

    async def _call(self, method: str, operation: RoleOperation, bot: Bot) -> Response | NoOutcome:
        path = f"/guilds/{bot.guild}/members/{operation.member}/roles/{operation.action.role}"
        reason = f"Order {operation.order}, item {operation.item}"
        try:
            reply = await self._client.call(
                method,
                path,
                bot.token,
                bot=bot.name,
                route="/guilds/{guild}/members/{user}/roles/{role}",
                guild=bot.guild,
                reason=reason,
            )
        except (Blocked, NotSent) as error:
            if isinstance(error, Blocked):
                return OperatorFault(f"{error}: check the setting of Discord's URL.")
            return NotTried(str(error)) if isinstance(error, NoConnection) else Retry(f"{error}.")
        except OutboundError as error:
            return Unknown(str(error))
        if isinstance(reply, Limited):
            if reply.called:
                return Retry("Discord answered 429: its rate limit is reached. The call is retried.", reply.after)
            return NotTried("Discord's rate limit is reached.", reply.after)
        return reply

    async def _refused(self, operation: GiveRole | RemoveRole, bot: Bot, reply: Response) -> Outcome | NoOutcome:
        """Neither done nor limited."""
        if reply.status >= 500 or reply.status == 408:
            text = f"Discord answered {reply.status}: it is unavailable or busy. The call is retried."
            return Retry(text, retry_after(reply))
        if reply.status == 401:
            text = f"Discord answered 401: the bot's token is invalid. Set the store's secret {bot.secret} again."
            return OperatorFault(text)
        if reply.status < 400:
            return OperatorFault(f"Discord answered {reply.status}: check the setting of Discord's URL.")
        code = error_code(reply)
        known = remedy(reply.status, code, operation.action.role, bot.guild)
        found = None
        if reply.status in (403, 404) and code not in (UNKNOWN_MEMBER, UNKNOWN_GUILD):
            found = await diagnosis(self._client, bot, operation.action.role)
        return type(operation).Failed(known.code, f"Discord answered {reply.status}. {found or known.text}")
