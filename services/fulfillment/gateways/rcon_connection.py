"""The Source RCON protocol over TCP, as https://developer.valvesoftware.com/wiki/Source_RCON_Protocol has it.

A packet is its size, an id, a type (each 4 bytes, little endian), a text, and two zero bytes. Packets are found again
in whatever pieces the bytes come. An answer may have several packets, and nothing marks the last one:

- Source answers requests in their order, and returns an empty one of the type of an answer as it is: it is sent along,
  and its return ends the answer.
- Minecraft closes the connection when two requests come at once. Its answers are cut after 4096 characters; only after
  such a piece a second request is sent, whose answer ends the first.
- Rust sends its console's log in between, under other ids; what follows an answer at once belongs to it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp.resolver import ThreadedResolver

from services.fulfillment.gateways.rcon_answers import without_password
from shared.contracts.rcon import Game
from shared.shell.http.outbound import CheckedResolver

AUTH, AUTH_RESPONSE, COMMAND, ANSWER = 3, 2, 2, 0
REFUSED = -1
HEAD = struct.Struct("<iii")
LARGEST = 65_536
"""Bytes of one packet that is accepted, and of one answer that is read."""
CUT = 4000
"""A piece of an answer with so many bytes may not be the last."""
QUIET = 0.2
"""Seconds after which an answer is whole, where nothing else says so."""


class RconError(Exception):
    """In words for staff, without the password."""


class Unreachable(RconError):
    """No connection, or none on which anything was asked for."""


class WrongPassword(RconError):
    """The server refused it."""


class NoAnswer(RconError):
    """A command was sent, and its answer did not come: it may have been carried out."""


class RconConnection:
    """One connection, used by one caller at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, game: Game) -> None:
        self._reader, self._writer, self._game = reader, writer, game
        self._id = 0
        self._password = ""

    async def log_in(self, password: str, timeout: float) -> None:
        """Raises WrongPassword and Unreachable. Some servers send an empty answer first."""
        self._password = password
        try:
            async with asyncio.timeout(timeout):
                mine = await self._send(AUTH, password)
                while True:
                    id, kind, _ = await self._read()
                    if kind == AUTH_RESPONSE and id in (mine, REFUSED):
                        break
        except TimeoutError:
            raise Unreachable("it does not answer the login: is this the port of RCON?") from None
        except (OSError, EOFError) as error:
            raise Unreachable(f"it closed the connection at the login ({type(error).__name__})") from None
        except ValueError as error:
            raise Unreachable(f"it does not speak RCON: {error}") from None
        if id == REFUSED:
            raise WrongPassword("the server refuses the password")

    async def run(self, command: str, timeout: float) -> str:
        """The server's answer, without the password. Raises NoAnswer."""
        try:
            async with asyncio.timeout(timeout):
                answer = (await self._answer(command)).decode(errors="replace")
                return without_password(answer, self._password) if self._password else answer
        except TimeoutError:
            raise NoAnswer(f"no answer within {timeout:g} s") from None
        except (OSError, EOFError) as error:
            raise NoAnswer(f"the connection broke off ({type(error).__name__})") from None
        except ValueError as error:
            raise NoAnswer(f"its answer cannot be read: {error}") from None

    async def _answer(self, command: str) -> bytes:
        mine = await self._send(COMMAND, command)
        last = await self._send(ANSWER, "") if self._game == "source" else None
        kept = bytearray()
        while True:
            id, kind, body = await self._read()
            if id == last:
                return bytes(kept)
            if id != mine or kind != ANSWER:
                continue
            kept += body[: LARGEST - len(kept)]
            if self._game == "minecraft" and last is None:
                if len(body) < CUT:
                    return bytes(kept)
                last = await self._send(ANSWER, "")
            elif self._game == "rust":
                return await self._rest(mine, kept)

    async def _rest(self, mine: int, kept: bytearray) -> bytes:
        """What follows at once."""
        try:
            async with asyncio.timeout(QUIET):
                while True:
                    id, kind, body = await self._read()
                    if id == mine and kind == ANSWER:
                        kept += body[: LARGEST - len(kept)]
        except (TimeoutError, OSError, EOFError):
            return bytes(kept)

    async def _send(self, kind: int, text: str) -> int:
        self._id += 1
        body = text.encode() + b"\0\0"
        self._writer.write(HEAD.pack(8 + len(body), self._id, kind) + body)
        await self._writer.drain()
        return self._id

    async def _read(self) -> tuple[int, int, bytes]:
        """Id, type and text of the next packet. Raises OSError, EOFError and ValueError."""
        (size,) = struct.unpack("<i", await self._reader.readexactly(4))
        if not 10 <= size <= LARGEST:
            raise ValueError(f"a packet of {size} bytes")
        packet = await self._reader.readexactly(size)
        id, kind = struct.unpack("<ii", packet[:8])
        return id, kind, packet[8:].rstrip(b"\0")


@asynccontextmanager
async def connected(
    host: str, port: int, game: Game, *, private: bool, timeout: float
) -> AsyncIterator[RconConnection]:
    """Only to addresses that may be called, checked on what the name resolves to (`shared/contracts/addresses.py`);
    `private`: private ones may. Raises Unreachable and `Blocked`."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await _opened(host, port, await _addresses(host, port, private=private))
    except TimeoutError:
        raise Unreachable("it cannot be reached: time-out") from None
    try:
        yield RconConnection(reader, writer, game)
    finally:
        writer.transport.abort()


async def _addresses(host: str, port: int, *, private: bool) -> Sequence[str]:
    resolver = CheckedResolver(ThreadedResolver(), private=private)
    try:
        found = await resolver.resolve(host, port, socket.AF_UNSPEC)
        return [one["host"] for one in sorted(found, key=lambda one: one["family"])]  # IPv4 first
    except OSError as error:
        raise Unreachable(f"its host cannot be found: {error.strerror or type(error).__name__}") from None


async def _opened(host: str, port: int, addresses: Sequence[str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reason = "its host has no address"
    for address in addresses:
        try:
            return await asyncio.open_connection(address, port, limit=2 * LARGEST)
        except OSError as error:
            reason = error.strerror or type(error).__name__
    raise Unreachable(f"it cannot be reached: {reason}")
