"""A worker whose HTTP address cannot be used says so in one line, and ends."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from services.registry import PROCESSES
from shared.settings import PREFIX

REQUIRED = {
    "KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    **{f"{name.upper()}__DATABASE_URL": "postgresql://u@127.0.0.1:1/d" for name in PROCESSES if name != "monitor"},
    "STRIPE__API_KEY": "sk_test_x",
    "STRIPE__WEBHOOK_SECRET": "whsec_x",
    "FULFILLMENT__LINK_SECRET": "a-secret-of-the-test",
    "FULFILLMENT__DATA_KEYS": "a-key-of-the-test-of-32-characters",
    "NOTIFICATIONS__FEED_SECRET": "a-secret-of-the-test",
}


@pytest.mark.parametrize(
    ("service", "host"), [("checkout", "127.0.0.1"), ("monitor", "127.0.0.1"), ("payments", "no.invalid")]
)
async def test_an_address_that_cannot_be_used(service: str, host: str) -> None:
    taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = str(taken.sockets[0].getsockname()[1])
    own = {f"{service.upper()}__HTTP_HOST": host, f"{service.upper()}__HTTP_PORT": port}
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment = others | {PREFIX + name: value for name, value in (REQUIRED | own).items()}
    command = (sys.executable, "-m", "deploy.worker", service)
    worker = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    _, output = await asyncio.wait_for(worker.communicate(), 60)
    taken.close()
    (line,) = [line for line in output.decode().splitlines() if "cannot be listened on" in line]
    assert line.startswith(f"{service}: {host}:{port} cannot be listened on (")
    assert "Correct HTTP_HOST and HTTP_PORT" in line
    assert "Traceback" not in output.decode()
    assert worker.returncode == 4
