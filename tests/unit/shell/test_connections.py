"""What the HTTP server does with callers who do not read, or send more than is asked for. On each event loop."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import web

from shared.shell.event_loop import new_loop
from shared.shell.http.connection import SLOWEST, Connection, may_be_read_slowly
from shared.shell.http.server import LINE, UNREAD, serve

PIECE = b"x" * 50_000
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, new_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs what it is given on an event loop, which is another one in each run of a test."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


async def whole(request: web.Request) -> web.StreamResponse:
    return web.Response(body=PIECE * 100)


async def piece(request: web.Request) -> web.StreamResponse:
    return web.Response(body=PIECE)


async def small(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


async def stream(request: web.Request) -> web.StreamResponse:
    """Never ends, and reads nothing."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(PIECE if "much" in request.query else b"\n")
        await asyncio.sleep(0.01)


async def file(request: web.Request) -> web.StreamResponse:
    may_be_read_slowly(request)
    return await whole(request)


async def body_size(request: web.Request) -> web.StreamResponse:
    return web.Response(text=str(len(await request.read())))


@asynccontextmanager
async def server(unread: float = UNREAD) -> AsyncIterator[web.AppRunner]:
    app = web.Application()
    app.router.add_get("/whole", whole)
    app.router.add_get("/piece", piece)
    app.router.add_get("/file", file)
    app.router.add_post("/small", small)
    app.router.add_get("/stream", stream)
    app.router.add_post("/body", body_size)
    runner = await serve(app, "127.0.0.1", 0, unread=unread)
    try:
        yield runner
    finally:
        await runner.cleanup()


async def caller(runner: web.AppRunner) -> socket.socket:
    """Takes little, unless it reads."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.setblocking(False)
    await asyncio.get_running_loop().sock_connect(line, runner.addresses[0])
    return line


def open_at(runner: web.AppRunner) -> int:
    assert runner.server is not None
    return len(runner.server.connections)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def request(target: str, more: str = "") -> bytes:
    method = "POST" if target == "/small" else "GET"
    length = "Content-Length: 0\r\n" if target == "/small" else ""
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\n{length}{more}\r\n".encode()


@pytest.mark.parametrize("target", ["/whole", "/stream?much=1"])
def test_a_response_that_is_not_read_ends_the_connection(run: Run, target: str) -> None:
    async def scenario() -> None:
        async with server(unread=0.3) as runner:
            with await caller(runner) as line:
                await asyncio.get_running_loop().sock_sendall(line, request(target))
                await until(lambda: open_at(runner) == 1)
                await until(lambda: open_at(runner) == 0)

    run(scenario())


def test_a_file_may_be_read_in_steps(run: Run) -> None:
    """Systems, and proxies that read for others, ask for more once they have room for much."""

    async def scenario() -> None:
        async with server(unread=0.3) as runner:
            with await caller(runner) as line:
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(line, request("/file", "Connection: close\r\n"))
                await asyncio.sleep(1.5)
                taken = 0
                while some := await loop.sock_recv(line, 1_000_000):
                    taken += len(some)
                assert taken > 100 * len(PIECE)

    run(scenario())


def test_a_file_that_is_not_read_at_all_ends_the_connection(run: Run) -> None:
    async def scenario() -> None:
        async with server(unread=0.05) as runner:
            with await caller(runner) as line:
                await asyncio.get_running_loop().sock_sendall(line, request("/file"))
                await until(lambda: open_at(runner) == 1)
                await until(lambda: open_at(runner) == 0)

    run(scenario())


def test_many_responses_that_are_not_read_do_so_too(run: Run) -> None:
    """Each of them is written without waiting."""

    async def scenario() -> None:
        async with server(unread=0.3) as runner:
            with await caller(runner) as line:
                await asyncio.get_running_loop().sock_sendall(line, request("/piece") * 500)
                await until(lambda: open_at(runner) == 1)
                await until(lambda: open_at(runner) == 0)

    run(scenario())


HEADER = b"A: " + b"x" * 1000 + b"\r\n"
BEHIND = {
    "invalid requests": (b"\r\n", b"GET / HTTP/1.1\r\n\r\n" * 10_000),
    "requests": (b"\r\n", b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000),
    "requests with a body": (b"\r\n", b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx" * 10_000),
    "a head": (b"\r\n", b"GET / HTTP/1.1\r\n" + HEADER * 100),
    "trailers": (b"Transfer-Encoding: chunked\r\n\r\n0\r\n", HEADER * 100),
    "a chunk's extension": (b"Transfer-Encoding: chunked\r\n\r\n1;", PIECE),
    "a body": (b"Content-Length: 100000000\r\n\r\n", PIECE),
}


@pytest.mark.parametrize("kind", BEHIND)
def test_what_is_sent_behind_a_stream_is_not_kept(run: Run, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either it is not read, or the connection is ended."""
    taken: list[int] = []

    class Counting(Connection):
        def data_received(self, data: bytes) -> None:
            taken.append(len(data))
            super().data_received(data)

    monkeypatch.setattr("shared.shell.http.server.Connection", Counting)
    first, more = BEHIND[kind]

    async def scenario() -> None:
        async with server() as runner:
            with await caller(runner) as line:
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(line, b"GET /stream HTTP/1.1\r\nHost: x\r\n" + first)
                with suppress(ConnectionError, TimeoutError):
                    for _ in range(10_000_000 // len(more)):
                        async with asyncio.timeout(0.5):
                            await loop.sock_sendall(line, more)

    run(scenario())
    assert sum(taken) < 1_000_000


def test_a_head_without_an_end_is_not_kept(run: Run) -> None:
    async def scenario() -> None:
        async with server() as runner:
            with await caller(runner) as line:
                loop = asyncio.get_running_loop()
                with pytest.raises(ConnectionError):
                    await loop.sock_sendall(line, b"GET / HTTP/1.1\r\n" + HEADER * 100)
                    assert await loop.sock_recv(line, 1) == b""
                    raise ConnectionError

    run(scenario())


@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_requests_that_are_sent_before_they_are_asked_for_are_answered_in_order(run: Run, size: int) -> None:
    """Also bodies in chunks of a byte, which are more framing than body."""
    chunk = b"%x\r\n" % size + b"x" * size + b"\r\n"

    async def scenario() -> None:
        async with server() as runner:
            reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
            for number in range(1, 40):
                head = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                writer.write(head + chunk * (number if size < 100_000 else 1) + b"0\r\n\r\n")
            writer.write(request("/small", "Connection: close\r\n"))
            async with asyncio.timeout(20):
                answers = (await reader.read()).decode().split("HTTP/1.1 200 OK\r\n")[1:]
            writer.close()
            bodies = [answer.split("\r\n\r\n")[1] for answer in answers]
            expected = [str(number * size if size < 100_000 else size) for number in range(1, 40)]
            assert bodies == [*expected, "hello"]

    run(scenario())


def test_a_body_in_chunks_of_a_byte_is_read(run: Run) -> None:
    async def scenario() -> None:
        async with server() as runner:
            reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
            head = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            writer.write(head + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n")
            async with asyncio.timeout(20):
                assert (await reader.read()).endswith(b"\r\n\r\n100000")
            writer.close()

    run(scenario())


def connection(waiting: list[int]) -> tuple[Connection, Mock]:
    """`waiting` is what a connection has to send, each time that it is asked."""
    transport = Mock(spec=asyncio.Transport)
    transport.get_write_buffer_size.side_effect = waiting
    transport.get_extra_info.return_value = None
    made = Connection(web.Server(small), lambda _: None)
    made._line, made._since = transport, 0.0
    return made, transport


@pytest.mark.parametrize(
    ("waiting", "ended"),
    [
        ([50_000] * 4, True),
        ([50_000, 50_001, 50_002, 50_003], True),
        ([50_000, 50_000, 0, 50_000], False),
        ([50_000, 49_000, 48_000, 47_000], True),
        ([50_000, 45_000, 40_000, 35_000], False),
        ([50_000, 50_000 - SLOWEST, 60_000, 60_000], False),
        ([0, 0, 0, 100], False),
    ],
)
async def test_what_counts_is_how_much_the_caller_takes(waiting: list[int], ended: bool) -> None:
    made, transport = connection(waiting)
    for number in range(len(waiting)):
        made.end_unread(float(number), timeout=3.0)
    assert transport.abort.called is ended


async def test_a_caller_who_takes_what_is_written_meanwhile_is_not_ended() -> None:
    made, transport = connection([50_000] * 4)
    for number in range(4):
        made.pause_writing()
        made.resume_writing()
        made.end_unread(float(number), timeout=3.0)
    assert not transport.abort.called


SECRET = "a-secret-of-the-caller"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (f"GET /piece?{'x' * LINE}{SECRET} HTTP/1.1\r\nHost: x\r\n\r\n", "too long"),
        (f"GET /piece HTTP/1.1\r\nHost: x\r\nAuthorization: {SECRET}{'x' * LINE}\r\n\r\n", "too long"),
        (f"GET /piece HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\x00\r\n\r\n", "no valid HTTP"),
        (f"GET /piece HTTP/1.1\r\nHost: x\r\n{SECRET} : x\r\n\r\n", "no valid HTTP"),
        (f"GET /{SECRET} HTTP/9.9\r\nHost: x\r\n\r\n", "no valid HTTP"),
        (f"{SECRET}\r\n\r\n", "no valid HTTP"),
    ],
)
def test_what_is_no_request_is_answered_in_json_and_not_logged(
    run: Run, sent: str, said: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        async with server() as runner:
            reader, writer = await asyncio.open_connection(*runner.addresses[0])
            writer.write(sent.encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
        assert b" 400 Bad Request" in head and b"Content-Type: application/problem+json" in head
        answer = json.loads(body)
        assert answer["code"] == "bad_request" and said in answer["title"]
        assert SECRET not in body.decode()

    run(scenario())
    assert SECRET not in caplog.text + "".join(capsys.readouterr())


def test_a_long_query_is_read(run: Run) -> None:
    async def scenario() -> None:
        async with server() as runner:
            reader, writer = await asyncio.open_connection(*runner.addresses[0])
            writer.write(request(f"/piece?note={'x' * (LINE - 100)}", "Connection: close\r\n"))
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            writer.close()

    run(scenario())
