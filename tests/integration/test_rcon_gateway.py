"""The gateway of game servers against an independent server, and against servers that misbehave byte by byte."""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
import pytest
import pytest_asyncio

from services.fulfillment.domain.game_server import GameServer
from services.fulfillment.domain.rcon_operations import (
    CheckServer,
    RconOperation,
    RevokeByCommands,
    RunCommands,
    RunRepeatableCommands,
)
from services.fulfillment.gateways.rcon import Rcon, Timeouts
from shared.contracts.rcon import Game
from shared.core import NotTried, Retry, Unknown
from tests.unit.fulfillment.test_game_console import NASTY

PASSWORD = "s3cret-of-the-server"
KEY = "acme/server/survival"
SHORT = Timeouts(connect=1, log_in=1, answer=0.5, whole=3, place=0.2)


@dataclass
class Configured:
    """What the gateway looks up."""

    servers: dict[str, GameServer] = field(default_factory=dict)
    passwords: dict[tuple[str, str], str] = field(default_factory=dict)
    current: bool = True

    async def server(self, key: str) -> GameServer | None:
        return self.servers.get(key)

    async def is_current(self, operation: RconOperation) -> bool:
        return self.current

    async def secret(self, store: str, name: str) -> str | None:
        return self.passwords.get((store, name))


@dataclass
class Judge:
    port: int
    process: asyncio.subprocess.Process
    seen: list[str] = field(default_factory=list)

    async def commands(self, count: int) -> list[str]:
        """Those received so far, at least so many."""
        assert self.process.stdout is not None
        while len(self.seen) < count:
            line = await asyncio.wait_for(self.process.stdout.readline(), 5)
            self.seen.append(orjson.loads(line)["command"])
        return self.seen


@pytest_asyncio.fixture
async def judge() -> AsyncIterator[Judge]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.rcon_judge", PASSWORD), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    port = orjson.loads(await asyncio.wait_for(process.stdout.readline(), 20))["port"]
    yield Judge(port, process)
    process.kill()
    await process.wait()


def gateway(port: int, game: Game = "minecraft", *, private: bool = True, host: str = "127.0.0.1") -> Rcon:
    known = Configured({KEY: GameServer("Survival", game, host, port, "pw")}, {("acme", "pw"): PASSWORD})
    return Rcon(known, known, private=private, timeouts=SHORT)


def run(
    *commands: str,
    kind: type[RconOperation] = RunCommands,
    player: str = "",
    value: str = "Ada_1",
    server: str = KEY,
) -> RconOperation:
    return kind(
        server=server,
        order="o-1",
        item="1",
        commands=commands,
        fields=(("custom.player", value),),
        number=1,
        player=player,
    )


def check(port: int, game: Game = "minecraft", host: str = "127.0.0.1") -> CheckServer:
    return CheckServer(KEY, 1, game, host, port, "pw")


GAMES = pytest.mark.parametrize("game", ["minecraft", "source", "rust"])


@GAMES
async def test_commands_are_run_in_order_and_their_answers_kept(judge: Judge, game: Game) -> None:
    call = run("give {{custom.player}} a", "quiet", "big 10000", "leak", "give {{custom.player}} b")
    done = await gateway(judge.port, game).perform(call, "k")
    assert isinstance(done, RunCommands.Done)
    assert done.said == ("did give Ada_1 a", "", "x" * 300, "rcon_password is ***", "did give Ada_1 b")
    assert await judge.commands(5) == ["give Ada_1 a", "quiet", "big 10000", "leak", "give Ada_1 b"]


@GAMES
async def test_a_player_is_awaited_and_a_test_says_who_is_online(judge: Judge, game: Game) -> None:
    rcon = gateway(judge.port, game)
    away = await rcon.perform(run("give x", player="Eve"), "k")
    assert isinstance(away, RunCommands.Failed)
    assert (away.code, "Eve" in away.text) == ("player_offline", True)
    assert isinstance(await rcon.perform(run("give x", player="ada_1"), "k"), RunCommands.Done)
    told = await rcon.perform(check(judge.port, game), "k")
    assert isinstance(told, CheckServer.Done)
    assert "Ada_1" in told.text


@pytest.mark.parametrize("kind", [RunCommands, RevokeByCommands])
async def test_a_field_that_is_missing_is_no_unknown_outcome(judge: Judge, kind: type[RconOperation]) -> None:
    said = await gateway(judge.port).perform(run("lp user {{custom.nick}} clear", kind=kind), "k")
    assert isinstance(said, kind.Failed)
    assert (said.code, "custom field nick" in said.text) == ("field_missing", True)


async def test_a_server_that_has_an_address_of_ipv6_only_is_reached() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for kind in (2, 0):
            (size,) = struct.unpack("<i", await reader.readexactly(4))
            id = await reader.readexactly(size)
            writer.write(struct.pack("<i4si", 10, id[:4], kind) + b"\0\0")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "::1", 0) as server:
        rcon = gateway(server.sockets[0].getsockname()[1], host="::1")
        assert await rcon.perform(run("list"), "k") == RunCommands.Done(("",))


async def test_hostile_values_reach_the_server_as_arguments_or_not_at_all(judge: Judge) -> None:
    rcon, sent = gateway(judge.port), 0
    for value in NASTY:
        said = await rcon.perform(run('tellraw @a {"text":"{{custom.player}}"}', value=value), "k")
        assert isinstance(said, RunCommands.Done | RunCommands.Failed)
        sent += isinstance(said, RunCommands.Done)
        assert len(await judge.commands(sent)) == sent
    texts = [orjson.loads(command.removeprefix("tellraw @a "))["text"] for command in judge.seen]
    assert set(texts) <= set(NASTY)
    assert len(texts) > 10


async def test_a_refused_command_fails_the_item_with_what_was_done_before(judge: Judge) -> None:
    said = await gateway(judge.port).perform(run("give a", "nonsense", "give b"), "k")
    assert isinstance(said, RunCommands.Failed)
    assert (said.code, said.carried_out) == ("command_refused", 1)
    assert await judge.commands(2) == ["give a", "nonsense"]


async def test_a_wrong_password_says_so_and_is_not_tried_again_at_once(judge: Judge) -> None:
    known = Configured(
        {KEY: GameServer("Survival", "source", "127.0.0.1", judge.port, "pw")}, {("acme", "pw"): "wrong"}
    )
    rcon = Rcon(known, known, private=True, timeouts=SHORT)
    for _ in range(2):
        said = await rcon.perform(run("give a"), "k")
        assert isinstance(said, RunCommands.Failed)
        assert said.code == "wrong_password"
        assert "secret pw" in said.text and "wrong." not in said.text
    known.passwords["acme", "pw"] = PASSWORD
    assert isinstance(await rcon.perform(run("give a"), "k"), RunCommands.Done)
    known.passwords.clear()
    said = await rcon.perform(run("give a"), "k")
    assert isinstance(said, RunCommands.Failed) and said.code == "no_password"


async def test_a_server_that_hangs_after_a_command_leaves_it_in_doubt(judge: Judge) -> None:
    rcon = gateway(judge.port)
    said = await rcon.perform(run("give a", "hang"), "k")
    assert said == Unknown("Survival: no answer within 0.5 s to command 2 of 2.")
    found = await rcon.find(run("give a", "hang"), "k")
    assert isinstance(found, RunCommands.Unresolved)


# Servers that are not there, or misbehave

Misbehaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(answer: Misbehaviour) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def received(reader: asyncio.StreamReader) -> tuple[int, int, str]:
    (size,) = struct.unpack("<i", await reader.readexactly(4))
    body = await reader.readexactly(size)
    id, kind = struct.unpack("<ii", body[:8])
    return id, kind, body[8:-2].decode()


def packet(id: int, kind: int, text: str = "") -> bytes:
    body = text.encode() + b"\0\0"
    return struct.pack("<iii", 8 + len(body), id, kind) + body


async def logged_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    id, _, _ = await received(reader)
    writer.write(packet(id, 0) + packet(id, 2))


async def test_packets_are_found_in_whatever_pieces_they_come() -> None:
    async def in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await logged_in(reader, writer)
        id, _, _ = await received(reader)
        probe, _, _ = await received(reader)
        noise = packet(-1, 4, "a log line")
        for byte in noise + packet(id, 0, "one ") + packet(id, 0, "answer") + noise + packet(probe, 0):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    async with listening(in_pieces) as port:
        assert await gateway(port, "source").perform(run("give a"), "k") == RunCommands.Done(("one answer",))


async def test_minecraft_gets_one_request_at_a_time() -> None:
    """Of two that come at once it closes the connection."""
    seen: list[tuple[int, str]] = []

    async def like_minecraft(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1460):
            (size, id, kind) = struct.unpack("<iii", data[:12])
            if size != len(data) - 4:
                return
            seen.append((kind, data[12:-2].decode()))
            if kind == 3:
                writer.write(packet(id, 2))
            elif kind == 2:
                writer.write(packet(id, 0, "x" * 4096) + packet(id, 0, "y" * 100))
            else:
                writer.write(packet(id, 0, "Unknown request 0"))

    async with listening(like_minecraft) as port:
        said = await gateway(port).perform(run("a", "b"), "k")
    assert isinstance(said, RunCommands.Done)
    assert [kind for kind, _ in seen] == [3, 2, 0, 2, 0]


@pytest.mark.parametrize("size", [-1, 0, 9, 2**31 - 1, 1_000_000])
async def test_a_packet_that_no_server_would_send_ends_the_call_in_doubt(size: int) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await logged_in(reader, writer)
        await received(reader)
        writer.write(struct.pack("<iii", size, 2, 0) + b"x" * 100)
        await reader.read()

    async with listening(nonsense) as port:
        assert isinstance(await gateway(port).perform(run("a"), "k"), Unknown)


async def test_an_answer_without_end_is_bounded_in_time_and_size() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await logged_in(reader, writer)
        id, _, _ = await received(reader)
        while True:
            writer.write(packet(id, 0, "x" * 4000))
            await writer.drain()

    async with listening(endless) as port:
        assert isinstance(await gateway(port, "source").perform(run("a"), "k"), Unknown)


async def test_a_server_that_breaks_off_after_a_command_leaves_it_in_doubt() -> None:
    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await logged_in(reader, writer)
        await received(reader)

    async with listening(breaks) as port:
        assert isinstance(await gateway(port).perform(run("a"), "k"), Unknown)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
    await reader.read()


@pytest.mark.parametrize("answer", [silent, closes, speaks_http])
async def test_a_server_that_does_not_log_us_in_is_offline(answer: Misbehaviour) -> None:
    async with listening(answer) as port:
        said = await gateway(port).perform(run("a"), "k")
        assert isinstance(said, RunCommands.Failed)
        assert said.code == "server_offline"
        again = await gateway(port).perform(run("a", kind=RevokeByCommands), "k")
        assert isinstance(again, Retry), "a revocation waits by itself"


async def test_a_server_that_is_not_there_is_offline_and_a_test_says_what_to_do() -> None:
    async with listening(silent) as port:
        pass
    said = await gateway(port).perform(run("a"), "k")
    assert isinstance(said, RunCommands.Failed)
    assert said.code == "server_offline"
    told = await gateway(port).perform(check(port), "k")
    assert isinstance(told, CheckServer.Failed)
    assert "Start the server" in told.text
    unknown = await Rcon(Configured(), Configured(), private=True).perform(run("a"), "k")
    assert isinstance(unknown, RunCommands.Failed) and unknown.code == "unknown_server"


@pytest.mark.parametrize(
    ("host", "private"),
    [("127.0.0.1", False), ("localhost", False), ("169.254.169.254", True), ("0.0.0.0", True)],  # noqa: S104
)
async def test_addresses_that_may_not_be_called_are_not(host: str, *, private: bool) -> None:
    said = await gateway(25575, private=private, host=host).perform(run("a"), "k")
    assert isinstance(said, RunCommands.Failed)
    assert said.code == "address_refused"


async def test_a_slow_server_has_one_connection_and_delays_no_other(judge: Judge) -> None:
    known = Configured(
        {
            KEY: GameServer("Slow", "minecraft", "127.0.0.1", judge.port, "pw"),
            "acme/server/fast": GameServer("Fast", "minecraft", "127.0.0.1", judge.port, "pw"),
        },
        {("acme", "pw"): PASSWORD},
    )
    rcon = Rcon(known, known, private=True, timeouts=SHORT)
    slow = [asyncio.create_task(rcon.perform(run("sleep 0.3"), "k")) for _ in range(50)]
    await asyncio.sleep(0.05)
    fast = run("give a", server="acme/server/fast")
    began = asyncio.get_running_loop().time()
    assert isinstance(await rcon.perform(fast, "k"), RunCommands.Done)
    assert asyncio.get_running_loop().time() - began < 0.25
    said = await asyncio.gather(*slow)
    waits = [one.after for one in said if isinstance(one, NotTried)]
    assert len(waits) >= 47
    assert max(one or 0 for one in waits) > 1, "they come again one after the other"


async def test_what_may_be_repeated_is_unknown_as_well_and_the_shell_repeats_it(judge: Judge) -> None:
    said = await gateway(judge.port).perform(run("hang", kind=RunRepeatableCommands), "k")
    assert isinstance(said, Unknown)
