"""The programs in `examples/`, run as their pages say, against the whole system."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from deploy.devstack.ports import LOOPBACK, choose
from deploy.devstack.stack import Stack
from tests.e2e.conversation import World, eventually
from tests.runbook import PROJECT, follow

EXAMPLES = PROJECT / "examples"


@pytest.fixture
async def shell(stack: Stack, world: World, tmp_path: Path) -> dict[str, str]:
    """The variables of a shell in which `orderbus env` was evaluated."""
    said = await follow("orderbus env", stack.environment())
    return dict(re.findall(r"^export (\w+)='?(.*?)'?$", said, re.MULTILINE)) | {"HOME": str(tmp_path)}


async def run(example: str, *arguments: str, shell: dict[str, str]) -> str:
    return await follow(" ".join([sys.executable, str(EXAMPLES / example), *arguments]), shell)


@asynccontextmanager
async def started(*command: str, shell: dict[str, str], folder: Path) -> AsyncIterator[Path]:
    """A server, until it is left; the file of what it prints."""
    log = folder / "output"
    with log.open("wb") as output:
        environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **shell}
        program = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=environment, stdout=output, stderr=asyncio.subprocess.STDOUT
        )
        try:
            yield log
        finally:
            program.terminate()
            await program.wait()


async def contains(log: Path, *words: str) -> None:
    async def text() -> str:
        return await asyncio.to_thread(log.read_text)

    await eventually(text, lambda said: all(word in said for word in words), f"{words} in the output")


async def test_env_names_what_programs_need(shell: dict[str, str]) -> None:
    services = ("CHECKOUT", "PAYMENTS", "FULFILLMENT", "NOTIFICATIONS")
    assert shell.keys() >= {"KAFKA", "ORDERBUS_API_TOKEN", *(f"{name}_URL" for name in services)}
    assert not [name for name in shell if "SECRET" in name or "KEY" in name or "DATABASE" in name]


async def test_a_storefront_sells_and_reads_answers(shell: dict[str, str]) -> None:
    said = await run("storefront/shop.py", shell=shell)
    assert said.splitlines()[1] == "order.created"
    assert said.splitlines()[-1] == "order.completed"

    refused = await run("storefront/shop.py", "--quantity", "0", shell=shell)
    assert "items.0.quantity: Must be at least 1." in refused

    declined = await run("storefront/shop.py", "--card", "pm_card_chargeDeclined", shell=shell)
    assert "order.payment_declined\n  Your card was declined." in declined


async def test_a_storefront_lets_the_customer_pay_again(shell: dict[str, str]) -> None:
    cards = ("--card", "pm_card_chargeDeclined", "--other-card", "pm_card_visa")
    said = await run("storefront/shop.py", *cards, shell=shell)
    assert said.index("order.payment_declined") < said.index("order.paid") < said.index("order.items_delivered\n  ")
    assert said.splitlines()[-1] == "order.completed"


async def test_a_storefront_on_confluent_kafka_does_so_too(shell: dict[str, str]) -> None:
    assert (await run("storefront/shop_confluent.py", shell=shell)).splitlines()[-1] == "order.completed"


async def test_a_staff_tool_knows_each_order_and_goes_on_where_it_was(shell: dict[str, str], tmp_path: Path) -> None:
    file = ("--once", "--database", str(tmp_path / "orders.sqlite"))
    first = await run("staff/orders.py", *file, shell=shell)
    await run("storefront/shop.py", shell=shell)

    async def counted() -> int:
        said = await run("staff/orders.py", *file, shell=shell)
        return int(said.splitlines()[-1].split()[0])

    await eventually(counted, lambda count: count > int(first.splitlines()[-1].split()[0]), "one order more")


async def test_a_staff_tool_refunds_and_says_how_it_ended(shell: dict[str, str]) -> None:
    bought = await run("storefront/shop.py", shell=shell)
    order = bought.splitlines()[0].split()[-1]

    accepted, refunded = (await run("staff/refund.py", order, "500", shell=shell)).splitlines()
    assert accepted.startswith("accepted: ")
    assert refunded == "refunded: 500 EUR (minor units), 500 in all"

    assert "refunded: 1533 EUR (minor units), 2033 in all" in await run("staff/refund.py", order, shell=shell)

    command = [sys.executable, str(EXAMPLES / "staff/refund.py"), order, "1"]
    refused = await asyncio.create_subprocess_exec(
        *command, env={"PATH": os.environ["PATH"], **shell}, stderr=asyncio.subprocess.PIPE
    )
    _, said = await refused.communicate()
    assert (refused.returncode, said.decode().startswith("refused: ")) == (1, True)


async def test_a_page_follows_its_customers_feed(shell: dict[str, str], tmp_path: Path) -> None:
    port = choose(["backend"])["backend"]
    command = (sys.executable, str(EXAMPLES / "in_app" / "backend.py"), str(port))
    base = f"http://{LOOPBACK}:{port}"
    async with started(*command, shell=shell, folder=tmp_path) as log, aiohttp.ClientSession() as browser:
        await contains(log, "Running on")
        async with browser.get(f"{base}/?customer=ada") as page:
            assert "Notifications" in await page.text()
        async with browser.post(f"{base}/token?customer=ada") as minted:
            token = await minted.json()
        headers = {"Authorization": f"Bearer {token['token']}"}
        feed = f"{base}/feeds/{token['feed']}"
        async with browser.get(f"{feed}/stream", headers=headers) as stream:
            await run("storefront/shop.py", shell=shell)
            seen = b""
            async with asyncio.timeout(30):
                while b"is complete" not in seen:
                    seen += await stream.content.readany()
        assert b"event: entry" in seen
        async with browser.post(f"{feed}/read", headers=headers) as marked:
            assert (await marked.json())["unread"] == 0
        other = feed.replace("~ada", "~grace")
        async with browser.get(other, headers=headers) as refused:
            assert refused.status in (401, 403)


@pytest.mark.parametrize("program", ["subscriber.py", "subscriber.mjs"])
async def test_a_subscriber_takes_each_event_once_and_no_others(
    shell: dict[str, str], tmp_path: Path, program: str
) -> None:
    language = sys.executable if program.endswith(".py") else shutil.which("node")
    if not language:
        pytest.skip("runs `node` (Debian's package nodejs)")
    port = choose(["subscriber"])["subscriber"]
    url = f"http://{LOOPBACK}:{port}/hooks"
    said = await run("webhooks/register.py", url, shell=shell)
    secret = said.removeprefix("export WEBHOOK_SECRET=").strip()
    command = (language, str(EXAMPLES / "webhooks" / program), str(port))
    async with started(*command, shell=shell | {"WEBHOOK_SECRET": secret}, folder=tmp_path) as log:
        await contains(log, str(port))
        await run("storefront/shop.py", shell=shell)
        await contains(log, "new order.created", "new order.received", "new order.completed")
        async with aiohttp.ClientSession() as other, other.post(url, json={"event": "order.created"}) as answer:
            assert answer.status == 401
        forged = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        async with aiohttp.ClientSession() as other, other.post(url, json={}, headers=forged) as answer:
            assert answer.status == 401
    lines = [line for line in log.read_text().splitlines() if line.startswith("new")]
    assert len([line for line in lines if "order.completed" in line]) == 1
