"""Each sandbox runs by itself."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import httpx
import orjson
import pytest

from deploy.devstack import ports
from deploy.devstack.children import python_environment

TOKEN = "a-token-of-this-test"
EXAMPLE = {"customer": "ada@example.com", "product": "sailing"}


@asynccontextmanager
async def running(module: str, folder: Path, *more: str) -> AsyncIterator[httpx.AsyncClient]:
    """The sandbox as a process, and a client that may read what it kept."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"deploy.sandboxes.{module}", "--data", str(folder), *more),
        env=os.environ | python_environment() | {"ORDERBUS_OUTSIDE_TOKEN": TOKEN},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        ready = orjson.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=ready["url"], headers=headers) as client:
            yield client
    finally:
        process.terminate()
        code = await asyncio.wait_for(process.wait(), 60)
    assert code == 0


async def test_mails(tmp_path: Path) -> None:
    port = ports.choose(["smtp"])["smtp"]
    async with running("smtp", tmp_path, "--smtp-port", str(port)) as client:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "shop@example.com", "ada@example.com", "Your order"
        mail.set_content("Thank you.")
        await aiosmtplib.send(mail, hostname="127.0.0.1", port=port, start_tls=False)
        (kept,) = (await client.get("/mails")).json()["mails"]
        assert (kept["to"], kept["subject"]) == (["ada@example.com"], "Your order")


async def test_webhooks(tmp_path: Path) -> None:
    async with running("webhooks", tmp_path) as client:
        await client.put("/control/hooks/crm", json={"answer": 500, "times": 1})
        statuses = [(await client.post("/hooks/crm", json={"n": number})).status_code for number in range(2)]
        assert statuses == [500, 204]
        assert (await client.get("/hooks")).json()["crm"]["received"] == 2


async def test_courses(tmp_path: Path) -> None:
    async with running("courses", tmp_path) as client:
        assert (await client.post("/access", json=EXAMPLE)).status_code == 201
        (grant,) = (await client.get("/access")).json()["grants"]
        assert grant["product"] == "sailing"
        assert (await client.delete("/access")).status_code == 400
        assert (await client.get("/access", headers={"Authorization": ""})).status_code == 401


async def test_all_of_them_share_a_port(tmp_path: Path) -> None:
    port = ports.choose(["smtp"])["smtp"]
    async with running("outside", tmp_path, "--smtp-port", str(port)) as client:
        assert (await client.get("/health")).json() == {"mails": 0, "hooks": 0, "access": 0, "discord": 0, "console": 0}


@pytest.mark.parametrize("module", ["smtp", "webhooks", "courses", "discord", "outside", "stripe"])
async def test_help_needs_no_settings(module: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"deploy.sandboxes.{module}", "--help"), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert f"python -m deploy.sandboxes.{module}" in out.decode()
