"""What callers may use of a worker: bodies within a time and a budget, requests within a rate, connections."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from shared.settings import HttpSettings
from shared.shell.http.access import EVERY_STORE, add_probe, add_public, add_route
from shared.shell.http.arrivals import KEPT_BACK
from shared.shell.http.declaration import Declaration
from shared.shell.http.limits import CLIENTS, MAX_REQUEST, BodyBudget, Limits, RequestRates, client_of
from shared.shell.http.principals import Principals
from shared.shell.http.requests import read_body
from shared.shell.http.server import serve
from shared.shell.http.web import protection

TOKEN = "a-token-of-the-test"
READ = Declaration("Read a body", raw_body="Bytes.")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def worker(limits: Limits, leave: asyncio.Event | None = None) -> AsyncIterator[int]:
    """A server with one public route, which reads its body and waits for `leave`."""

    async def read(request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        if leave is not None:
            await leave.wait()
        return web.Response(text=str(len(body)))

    async def well(request: web.Request) -> web.StreamResponse:
        return web.Response(text="well")

    principals = Principals.of_token(TOKEN)
    app = web.Application(middlewares=[protection(principals, limits)], client_max_size=MAX_REQUEST)
    add_public(app, "POST", "/read", read, READ)
    add_probe(app, "/health", well, Declaration("Healthy"))
    add_route(app, "POST", "/command", read, "command", EVERY_STORE, READ)
    runner = await serve(app, "127.0.0.1", 0, limits)
    yield runner.addresses[0][1]
    await runner.cleanup()


async def half_sent(port: int, sent: int, length: int = MAX_REQUEST) -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
    writer.write(head + b"x" * sent)
    return reader, writer


async def ended(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status, and the rest until the server closes the connection."""
    async with asyncio.timeout(20):
        line = await reader.readline()
        return int(line.split()[1]), await reader.read()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_body_that_does_not_arrive_is_given_up_and_its_memory_released() -> None:
    limits = Limits(HttpSettings(body_seconds=0.3))
    async with worker(limits) as port:
        reader, writer = await half_sent(port, 500_000)
        status, rest = await ended(reader)
        assert status == 408 and b"did not arrive within 0.3 seconds" in rest
        assert limits.public_bodies.used == 0
        writer.close()


async def test_a_caller_who_goes_away_leaves_no_memory_behind() -> None:
    limits = Limits()
    async with worker(limits) as port:
        _, writer = await half_sent(port, 500_000)
        await until(lambda: limits.public_bodies.used > 0)
        writer.transport.abort()
        await until(lambda: limits.public_bodies.used == 0)


async def test_all_bodies_together_are_bounded_and_the_next_is_refused_for_now() -> None:
    limits, leave = Limits(HttpSettings(public_body_bytes=4_000_000)), asyncio.Event()
    async with worker(limits, leave) as port:
        first = await half_sent(port, 900_000, 900_000)
        await until(lambda: limits.public_bodies.used == 900_000)
        second = await half_sent(port, 900_000, 900_000)
        status, rest = await ended(second[0])
        assert status == 503 and b"Retry-After: 2" in rest
        assert limits.public_bodies.used == 900_000
        leave.set()
        assert (await first[0].readline()).split()[1] == b"200"
        await until(lambda: limits.public_bodies.used == 0)
        for _, writer in (first, second):
            writer.close()


async def test_bodies_of_unknown_callers_do_not_take_the_room_of_api_clients() -> None:
    limits = Limits(HttpSettings(public_body_bytes=4_000_000))
    for number in range(4):
        assert limits.public_bodies.take(f"198.51.100.{number}", 1_000_000)
    async with worker(limits) as port, aiohttp.ClientSession() as http:
        reader, writer = await half_sent(port, 900_000, 900_000)
        assert (await ended(reader))[0] == 503
        writer.close()
        command = f"http://127.0.0.1:{port}/command"
        async with http.post(command, data=b"x" * 900_000, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            assert answer.status == 200
        assert limits.bodies.used == 0


def test_a_network_of_ipv6_is_one_client() -> None:
    assert client_of("2001:db8:0:1::1") == client_of("2001:db8:0:1:ffff::2") != client_of("2001:db8:0:2::1")
    assert client_of("203.0.113.1") == client_of("::ffff:203.0.113.1") != client_of("203.0.113.2")
    assert client_of("203.0.113.1") == client_of("64:ff9b::cb00:7101") != client_of("64:ff9b::cb00:7102")
    assert client_of("") == client_of("unknown") == ""


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_refused_and_not_kept(declared: bool) -> None:
    limits, leave = Limits(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    async with worker(limits, leave) as port:
        if declared:
            reader, writer = await half_sent(port, 10, 2_000_000)
            assert (await ended(reader))[0] == 413
            writer.close()
        else:
            async with aiohttp.ClientSession() as http:
                answer = await http.post(f"http://127.0.0.1:{port}/read", data=chunks())
                assert answer.status == 413
        assert limits.public_bodies.used == 0


async def test_connections_are_limited() -> None:
    async with worker(Limits(HttpSettings(connections=10, address_share=1))) as port:
        held = [await half_sent(port, 0) for _ in range(10)]
        await asyncio.sleep(0.1)
        reader, writer = await half_sent(port, 0)
        status, rest = await ended(reader)
        assert status == 503 and b"Retry-After: 5" in rest and b"Too many connections" in rest
        writer.close()
        held[0][1].transport.abort()
        async with asyncio.timeout(20):
            while True:
                reader, writer = await half_sent(port, 3, 3)
                answer = (await reader.readline()).split()
                writer.close()
                if answer[1:2] == [b"200"]:
                    break
        for _, other in held:
            other.close()


async def asked(port: int, target: str, source: str = "127.0.0.1") -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n".encode())
    answer = await ended(reader)
    writer.close()
    return answer


async def test_probes_are_answered_although_all_connections_are_taken() -> None:
    async with worker(Limits(HttpSettings(connections=10, address_share=1))) as port:
        held = [await half_sent(port, 0) for _ in range(10)]
        await asyncio.sleep(0.1)
        for _ in range(2 * KEPT_BACK):
            status, rest = await asked(port, "/health")
            assert status == 200 and rest.endswith(b"well")
        assert (await asked(port, "/healthy"))[0] == 503
        for _, writer in held:
            writer.close()


async def test_one_address_has_a_share_of_the_connections() -> None:
    """A second one on this machine: Linux."""
    async with worker(Limits(HttpSettings(connections=20, address_share=0.5))) as port:
        held = [await half_sent(port, 0) for _ in range(10)]
        await asyncio.sleep(0.1)
        assert (await asked(port, "/read"))[0] == 503
        assert (await asked(port, "/health"))[0] == 200
        if sys.platform == "linux":
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
            writer.write(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            assert (await reader.readline()).split()[1] == b"200"
            writer.close()
        for _, writer in held:
            writer.close()


async def test_a_trusted_proxy_may_have_all_connections() -> None:
    settings = HttpSettings(connections=20, address_share=0.1, trusted_proxies=("127.0.0.0/8",))
    async with worker(Limits(settings)) as port:
        opened = [await half_sent(port, 3, 3) for _ in range(20)]
        for reader, writer in opened:
            assert (await reader.readline()).split()[1] == b"200"
            writer.close()


async def test_requests_of_one_client_are_limited_and_those_of_another_are_not() -> None:
    at = 100.0
    limits = Limits(HttpSettings(requests_per_second=2, trusted_proxies=("127.0.0.0/8",)), lambda: at)
    app = web.Application(middlewares=[protection(Principals.of_token(TOKEN), limits)])

    async def read(request: web.Request) -> web.StreamResponse:
        return web.Response(text=str(len(await read_body(request))))

    add_public(app, "POST", "/read", read, READ)
    async with TestClient(TestServer(app)) as client:

        async def ask(name: str, value: str) -> tuple[int, str | None]:
            answer = await client.post("/read", headers={name: value})
            return answer.status, answer.headers.get("Retry-After")

        forwarded = "X-Forwarded-For"
        assert [await ask(forwarded, "203.0.113.1") for _ in range(5)] == [(200, None)] * 4 + [(429, "1")]
        assert await ask(forwarded, "203.0.113.2") == (200, None)
        one_network = [await ask(forwarded, f"2001:db8::{number}") for number in range(5)]
        assert one_network == [(200, None)] * 4 + [(429, "1")]
        assert await ask(forwarded, "203.0.113.2, 203.0.113.1") == (429, "1"), "the last one asked the proxy"
        assert await ask("Authorization", f"Bearer {TOKEN}") == (200, None)
        at += 0.5
        assert await ask(forwarded, "203.0.113.1") == (200, None)


def test_only_our_own_proxies_say_who_asked() -> None:
    def address(remote: str, forwarded: str, *proxies: str) -> str:
        request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded}).clone(remote=remote)
        return Limits(HttpSettings(trusted_proxies=proxies)).address_of(request)

    assert address("203.0.113.1", "198.51.100.9") == "203.0.113.1"
    assert address("203.0.113.1", "198.51.100.9", "10.0.0.0/8") == "203.0.113.1"
    assert address("10.0.0.1", "198.51.100.9", "10.0.0.0/8") == "198.51.100.9"
    assert address("::ffff:10.0.0.1", "198.51.100.9", "10.0.0.0/8") == "198.51.100.9"
    assert address("10.0.0.1", "198.51.100.9, 10.0.0.2", "10.0.0.0/8") == "198.51.100.9"
    assert address("10.0.0.1", "invalid, 198.51.100.9", "10.0.0.0/8") == "198.51.100.9"
    assert address("10.0.0.1", "198.51.100.9, invalid", "10.0.0.0/8") == "10.0.0.1"
    assert address("10.0.0.1", "198.51.100.9:5555", "10.0.0.0/8") == "198.51.100.9"
    assert address("10.0.0.1", "[2001:db8::1]:443, 10.0.0.2:80", "10.0.0.0/8") == "2001:db8::1"
    assert address("10.0.0.1", "[2001:db8::1]", "10.0.0.0/8") == "2001:db8::1"
    assert address("10.0.0.1", "[198.51.100.9:1", "10.0.0.0/8") == "10.0.0.1"


def test_a_proxy_is_a_network() -> None:
    with pytest.raises(ValueError):
        HttpSettings(trusted_proxies=("10.0.0.0/40",))


def test_rates_remember_a_bounded_number_of_clients() -> None:
    rates = RequestRates(1, lambda: 0.0)
    for number in range(CLIENTS + 100):
        assert rates.wait(str(number)) == 0.0
    assert rates.remembered() == CLIENTS


def test_a_budget_counts_by_client() -> None:
    budget = BodyBudget(16_000_000)
    assert budget.take("a", 4_000_000)
    assert not budget.take("a", 1)
    assert budget.take("b", 4_000_000) and budget.take("c", 4_000_000) and budget.take("d", 4_000_000)
    assert not budget.take("e", 1)
    budget.release("a", 4_000_000)
    assert budget.take("e", 1) and budget.used == 12_000_001
