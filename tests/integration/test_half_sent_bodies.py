"""400 callers who send half of a megabyte and then nothing: what it costs payments, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from tests.http_edges import exchange, request_of
from tests.integration.edge_server import serving

CALLERS = 400
BODY = 1_000_000
SENT = b"x" * (BODY // 2)
MOST = 120_000_000
"""Bytes of memory more than before. It was 680 MB, and the connections were open after 95 s."""
CLOSED_WITHIN = 60.0
"""Seconds: 10 for a body, 1 for its rest, and as much as a busy machine needs."""


@pytest_asyncio.fixture
async def server() -> AsyncIterator[tuple[psutil.Process, int]]:
    async with serving("payments") as (process, port):
        yield process, port


async def call(port: int, signature: str) -> None:
    """Send half, and wait until the server closes the connection."""
    signed = f"Stripe-Signature: {signature}\r\n" if signature else ""
    head = f"POST /stripe/webhook HTTP/1.1\r\nHost: x\r\n{signed}Content-Length: {BODY}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        writer.write(head.encode() + SENT)
        await reader.read()
    writer.close()


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed wrongly"])
async def test_they_cost_little_and_are_gone_soon(server: tuple[psutil.Process, int], signed: bool) -> None:
    process, port = server
    before = peak = process.memory_info().rss
    signature = f"t={int(time.time())},v1={'0' * 64}" if signed else ""
    began = time.monotonic()
    calls = [asyncio.create_task(call(port, signature)) for _ in range(CALLERS)]
    while not all(each.done() for each in calls) and time.monotonic() - began < CLOSED_WITHIN:
        peak = max(peak, process.memory_info().rss)
        await asyncio.sleep(0.05)
    took, after = time.monotonic() - began, process.memory_info().rss
    print(
        f"{before / 1e6:.0f} MB before, {peak / 1e6:.0f} at most, {after / 1e6:.0f} after; all closed in {took:.1f} s"
    )
    assert all(each.done() for each in calls), f"open after {took:.0f} s"
    assert peak - before < MOST
    assert await exchange(port, request_of("GET", "/health")) == 200
