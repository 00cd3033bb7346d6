"""Game servers' consoles. What certainly was not sent waits or fails with what to fix; what broke off after a command
was sent is in doubt.

A server has one connection at a time from here, and few calls that wait for it: others are told when to come again, so
that a slow server holds up no other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import sqlalchemy as sa

from services.fulfillment.domain.delivery import UNKNOWN_SERVER
from services.fulfillment.domain.fields import FIELD_MISSING, irrevocable_text, missing_text
from services.fulfillment.domain.game_console import CommandTooLong, UnsafeField, console_commands, unsafe_text
from services.fulfillment.domain.game_server import GameServer
from services.fulfillment.domain.rcon_operations import (
    ADDRESS_REFUSED,
    NO_PASSWORD,
    NOT_NEEDED,
    PLAYER_OFFLINE,
    REVOCATIONS,
    SERVER_OFFLINE,
    TRIED_AGAIN,
    WRONG_PASSWORD,
    CheckServer,
    RconOperation,
)
from services.fulfillment.gateways.rcon_answers import ASKED, is_online, is_refusal, shortened
from services.fulfillment.gateways.rcon_connection import (
    NoAnswer,
    RconConnection,
    Unreachable,
    WrongPassword,
    connected,
)
from services.fulfillment.secrets import Secrets
from shared.contracts.rcon import Game
from shared.contracts.templates import MissingFields
from shared.core import NoOutcome, NotDone, NotTried, Outcome, Retry, Unknown
from shared.shell.http.outbound import Blocked
from shared.shell.sealer import CannotOpen

WAITING_CALLS = 2
"""For one server's connection."""
LONGEST_PAUSE = 60.0
"""Seconds after which a call that found no place comes again, at most."""
REFUSED_FOR = 30.0
"""Seconds that a password is not tried again that was refused: servers ban who guesses."""


class GameServers(Protocol):
    """Where the gateway looks up what it is told to do."""

    async def server(self, key: str) -> GameServer | None:
        """None: not configured."""
        ...

    async def is_current(self, operation: RconOperation) -> bool:
        """Whether it is still needed: False when the item was cancelled, settled or retried. Raises OSError where that
        cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds. All of a call's within the operation's own timeout."""

    connect: float = 5.0
    log_in: float = 5.0
    answer: float = 10.0
    whole: float = 60.0
    place: float = 5.0
    """For the server's connection."""


@dataclass(slots=True)
class _Line:
    """Calls to one server."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    seconds: float = 0.1
    """That a call takes, lately."""
    free_at: float = 0.0
    """When those that were told to come again will have been served."""

    def pause(self, now: float) -> float:
        """For the next call that finds no place: its turn, or a while where more wait than there are turns."""
        if self.free_at - now > LONGEST_PAUSE:
            return LONGEST_PAUSE * (0.5 + random.random() / 2)  # noqa: S311  (spreads them)
        self.free_at = max(self.free_at, now + self.seconds) + self.seconds
        return self.free_at - now


class NotPossible(Exception):
    """Nothing was sent to the console. `text` says what to fix."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Busy(Exception):
    """No place is free. `after`: seconds until one may be."""

    def __init__(self, after: float) -> None:
        super().__init__()
        self.after = after


class Rcon:
    """Gateway of the RconOperations and CheckServer. `private`: private addresses are allowed."""

    def __init__(
        self, servers: GameServers, secrets: Secrets, *, private: bool, timeouts: Timeouts = Timeouts()
    ) -> None:
        self._servers, self._secrets, self._private, self._timeouts = servers, secrets, private, timeouts
        self._lines: dict[str, _Line] = {}
        self._refused: dict[tuple[str, int, str], float] = {}

    async def perform(self, operation: RconOperation | CheckServer, key: str) -> Outcome | NoOutcome:
        return await (self._check(operation) if isinstance(operation, CheckServer) else self._call(operation))

    async def _call(self, operation: RconOperation) -> Outcome | NoOutcome:
        try:
            await self._check_current(operation)
            server = await self._servers.server(operation.server)
            async with self._place(operation.server):
                return await self._run(operation, server)
        except NotPossible as error:
            if error.code in TRIED_AGAIN and isinstance(operation, REVOCATIONS):
                return Retry(error.text)
            return type(operation).Failed(error.code, error.text)
        except Busy as busy:
            return NotTried("The server is busy with other deliveries.", busy.after)
        except OSError as error:
            return _no_database(error)

    async def find(self, operation: RconOperation | CheckServer, key: str) -> Outcome | NotDone | NoOutcome:
        """Consoles keep no books."""
        if isinstance(operation, CheckServer):
            return NotDone()
        return type(operation).Unresolved(
            "It is unknown whether the commands were run. Look at the server, then settle the item as delivered, or as "
            "not delivered and retry it."
        )

    async def close(self) -> None:
        """Connections end with their calls."""

    async def _run(self, operation: RconOperation, server: GameServer | None) -> Outcome | NoOutcome:
        if server is None:
            name = operation.server.rpartition("/")[2]
            raise NotPossible(UNKNOWN_SERVER, f"The store has no game server {name}. Configure it.")
        commands = _commands_of(operation, server.game)
        done: list[str] = []
        try:
            async with asyncio.timeout(self._timeouts.whole), self._session(operation.server, server) as session:
                if operation.player:
                    await self._await_player(session, operation.player, server)
                await self._check_current(operation)  # once more: it may have waited for all of these
                for number, command in enumerate(commands, 1):
                    answer = await session.run(command, self._timeouts.answer)
                    if is_refusal(answer, server.game):
                        return _refused(operation, answer, number, len(commands), server)
                    done.append(shortened(answer))
        except NoAnswer as error:
            return Unknown(f"{server.name}: {error} to command {len(done) + 1} of {len(commands)}.")
        except TimeoutError:
            return Unknown(f"{server.name} is too slow: {len(done)} of {len(commands)} commands were answered.")
        return type(operation).Done(tuple(done))

    async def _check_current(self, operation: RconOperation) -> None:
        """Raises NotPossible, and OSError where that cannot be read, or not soon: it must not seem that the server is
        slow, and perhaps has run something."""
        try:
            async with asyncio.timeout(self._timeouts.answer):
                is_current = await self._servers.is_current(operation)
        except TimeoutError:
            raise OSError("time-out") from None
        if not is_current:
            raise NotPossible(NOT_NEEDED, "Not run, since it is no longer needed.")

    async def _await_player(self, session: RconConnection, player: str, server: GameServer) -> None:
        """Raises NotPossible. Asking changes nothing, so that it is never in doubt."""
        try:
            answer = await session.run(ASKED[server.game], self._timeouts.answer)
        except NoAnswer as error:
            raise _offline(server, str(error)) from None
        if not is_online(player, answer, server.game):
            text = f"Player {player} is not online on {server.name}. It is done when they join, which is checked again."
            raise NotPossible(PLAYER_OFFLINE, text[:500])

    async def _check(self, check: CheckServer) -> Outcome | NoOutcome:
        server = GameServer(check.server.rpartition("/")[2], check.game, check.host, check.port, check.password)
        try:
            async with self._place(check.server), self._session(check.server, server, is_test=True) as session:
                return CheckServer.Done(shortened(await session.run(ASKED[check.game], self._timeouts.answer)))
        except NotPossible as error:
            return CheckServer.Failed(error.code, error.text)
        except NoAnswer as error:
            fault = _offline(server, str(error))
            return CheckServer.Failed(fault.code, fault.text)
        except Busy as busy:
            return NotTried("The server is busy with deliveries.", busy.after)
        except OSError as error:
            return _no_database(error)

    @asynccontextmanager
    async def _session(self, key: str, server: GameServer, *, is_test: bool = False) -> AsyncIterator[RconConnection]:
        """Connected and logged in. Raises NotPossible; what its user raises is let through. A test also tries a
        password that was refused lately."""
        password = await self._password(key.partition("/")[0], server)
        login = (server.host, server.port, password)
        if not is_test and self._refused.get(login, 0.0) > _now():
            raise _wrong_password(server)
        limits = self._timeouts
        try:
            async with connected(
                server.host, server.port, server.game, private=self._private, timeout=limits.connect
            ) as session:
                await session.log_in(password, limits.log_in)
                self._refused.pop(login, None)
                yield session
        except WrongPassword:
            self._refused[login] = _now() + REFUSED_FOR
            raise _wrong_password(server) from None
        except Blocked as error:
            raise NotPossible(ADDRESS_REFUSED, f"{server.name}: {error}.") from None
        except Unreachable as error:
            raise _offline(server, str(error)) from None

    async def _password(self, store: str, server: GameServer) -> str:
        try:
            password = await self._secrets.secret(store, server.password)
        except CannotOpen as error:
            text = f"The secret {server.password} of store {store} cannot be opened: {error}. Set it again."
            raise NotPossible(NO_PASSWORD, text[:500]) from None
        except (sa.exc.SQLAlchemyError, TimeoutError) as error:
            raise OSError(type(error).__name__) from error
        if password is None:
            text = f"The password of {server.name} is missing: orderbus secrets set {store} {server.password}"
            raise NotPossible(NO_PASSWORD, text)
        return password

    @asynccontextmanager
    async def _place(self, key: str) -> AsyncIterator[None]:
        """The only connection to a server. Raises Busy."""
        line = self._lines.setdefault(key, _Line())
        if line.lock.locked():
            if line.waiting >= WAITING_CALLS:
                raise Busy(line.pause(_now()))
            line.waiting += 1
            try:
                async with asyncio.timeout(self._timeouts.place):
                    await line.lock.acquire()
            except TimeoutError:
                raise Busy(line.pause(_now())) from None
            finally:
                line.waiting -= 1
        else:
            await line.lock.acquire()
        began = _now()
        try:
            yield
        finally:
            line.seconds += (_now() - began - line.seconds) / 4
            line.lock.release()


def _commands_of(operation: RconOperation, game: Game) -> tuple[str, ...]:
    """Raises NotPossible."""
    try:
        return console_commands(operation.commands, dict(operation.fields), game)
    except UnsafeField as unsafe:
        raise NotPossible("field_unsafe", unsafe_text(unsafe.name, game)) from None
    except MissingFields as missing:
        text = irrevocable_text(missing) if isinstance(operation, REVOCATIONS) else missing_text(missing)
        raise NotPossible(FIELD_MISSING, text[:500]) from None
    except CommandTooLong as error:
        text = f"With this order's fields the command {error.command} is longer than the server accepts. Shorten it."
        raise NotPossible("command_too_long", text[:500]) from None


def _refused(operation: RconOperation, answer: str, number: int, of: int, server: GameServer) -> Outcome:
    before = f" The {number - 1} before it were carried out." if number > 1 else ""
    text = (
        f"{server.name} refuses command {number} of {of}: {shortened(answer)}.{before} Correct the command or the "
        "player, then retry the order, with the latest configuration if you changed it."
    )
    return type(operation).Failed("command_refused", text, carried_out=number - 1)


def _offline(server: GameServer, reason: str) -> NotPossible:
    place = f"{server.host}:{server.port}"
    text = f"{server.name} ({place}): {reason}. Start the server, switch RCON on there, and check its address and port."
    return NotPossible(SERVER_OFFLINE, text)


def _wrong_password(server: GameServer) -> NotPossible:
    text = f"{server.name} refuses the password. Set the secret {server.password} of the store to its RCON password."
    return NotPossible(WRONG_PASSWORD, text)


def _no_database(error: OSError) -> NotTried:
    return NotTried(f"The fulfillment database does not answer: {error}.")


def _now() -> float:
    return asyncio.get_running_loop().time()
