"""A game server's console, for the demo and for tests: `python -m deploy.sandboxes.rcon`.

It speaks Source RCON as Minecraft does, and knows `list`, `say TEXT`, `give PLAYER ITEM [COUNT]` and
`lp user PLAYER parent add|remove GROUP`. What was run is kept in `rcon.jsonl`.

GET    /rcon                    {"port", "players", "ranks", "commands"}
PUT    /control/rcon            {"offline", "hangs", "password", "players", "long"}: what is given is changed
DELETE /control/rcon            all as at the beginning
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from deploy.sandboxes.journal import Journal
from deploy.sandboxes.server import LOOPBACK, application, arguments_of, parsed, reply, serve, token_of
from shared.shell.event_loop import run

PASSWORD = "demo-console"  # noqa: S105  (of a sandbox on the loopback interface)
PLAYERS = ("Ada_1", "Grace_H")
AUTH, AUTH_RESPONSE, COMMAND, ANSWER = 3, 2, 2, 0
PIECE = 4096
LARGEST = 1460
"""Bytes of a request."""


class Changes(BaseModel):
    """What a test changes of the server. `offline`: no connection is taken. `hangs`: commands are run and not answered.
    `long`: an answer has so many characters more."""

    model_config = ConfigDict(extra="forbid")

    offline: bool | None = None
    hangs: bool | None = None
    password: str | None = None
    players: tuple[str, ...] | None = None
    long: int | None = None


class GameServer:
    """Who is online, who has which rank, and all commands that were run."""

    def __init__(self, folder: Path) -> None:
        self._journal = Journal(folder / "rcon.jsonl")
        self.commands: list[str] = []
        self.ranks: dict[str, set[str]] = {}
        self.port = 0
        self._reset()
        for _, record in self._journal.replay():
            self._do(record["command"])

    def _reset(self) -> None:
        self.offline, self.hangs, self.password, self.players, self.long = False, False, PASSWORD, PLAYERS, 0

    # The console

    def run(self, command: str) -> str:
        if command != "list":
            self._journal.append({"command": command, "at": datetime.now(UTC).isoformat()})
            return self._do(command) + "x" * self.long
        online = ", ".join(self.players)
        return f"There are {len(self.players)} of a max of 20 players online: {online}" + " " * self.long

    def _do(self, command: str) -> str:
        self.commands.append(command)
        match command.split(" "):
            case ["say", *_]:
                return ""
            case ["give", player, item, *_]:
                return f"Gave 1 [{item}] to {player}" if player in self.players else "No player was found"
            case ["lp", "user", player, "parent", "add" | "remove" as does, group]:
                mine = self.ranks.setdefault(player, set())
                if does == "add":
                    mine.add(group)
                    return f"{player} now inherits permissions from {group}."
                mine.discard(group)
                return f"{player} no longer inherits permissions from {group}."
        return "Unknown or incomplete command, see below for error"

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, LOOPBACK, port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not self.offline:
                await self._converse(reader, writer)
        except (OSError, EOFError, ValueError):
            pass
        finally:
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        logged_in = False
        while not self.offline:
            (size,) = struct.unpack("<i", await reader.readexactly(4))
            if not 10 <= size <= LARGEST:
                return
            body = await reader.readexactly(size)
            id, kind = struct.unpack("<ii", body[:8])
            text = body[8:-2].decode()
            if kind == AUTH:
                logged_in = text == self.password
                writer.write(_packet(id if logged_in else -1, AUTH_RESPONSE, b""))
            elif not logged_in:
                return
            else:
                answer = (self.run(text) if kind == COMMAND else f"Unknown request {kind}").encode()
                if self.hangs and kind == COMMAND and text != "list":
                    await asyncio.sleep(600)
                for at in range(0, max(len(answer), 1), PIECE):
                    writer.write(_packet(id, ANSWER, answer[at : at + PIECE]))
            await writer.drain()

    # What tests see and do

    def open_routes(self) -> Sequence[web.RouteDef]:
        return []

    def guarded_routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/rcon", self._list),
            web.put("/control/rcon", self._change),
            web.delete("/control/rcon", self._clear),
        ]

    def health(self) -> dict[str, int]:
        return {"console": len(self.commands)}

    async def _list(self, request: web.Request) -> web.Response:
        ranks = {player: sorted(groups) for player, groups in self.ranks.items()}
        shown: dict[str, Any] = {"port": self.port, "players": self.players, "ranks": ranks, "commands": self.commands}
        return reply(shown)

    async def _change(self, request: web.Request) -> web.Response:
        for name, value in (await parsed(request, Changes)).model_dump(exclude_none=True).items():
            setattr(self, name, value)
        return reply({})

    async def _clear(self, request: web.Request) -> web.Response:
        self._reset()
        return reply({})


def _packet(id: int, kind: int, body: bytes) -> bytes:
    return struct.pack("<iii", 10 + len(body), id, kind) + body + b"\0\0"


def main() -> None:
    parser = arguments_of("deploy.sandboxes.rcon", "A game server's console over RCON.")
    parser.add_argument("--rcon-port", type=int, default=0, help="port of the console (default: a free one)")
    given = parser.parse_args()
    server = GameServer(given.data)
    run(serve(application(token_of(parser), [server]), given.http_port, server.listening(given.rcon_port)))


if __name__ == "__main__":
    main()
