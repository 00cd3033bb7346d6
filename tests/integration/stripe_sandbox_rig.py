"""A Stripe sandbox in this process, the real SDK pointed at it, and a receiver that checks its webhooks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import stripe
from aiohttp import web

from deploy.sandboxes.stripe import Settings, create_app

SECRET, CONTROL, KEY = "whsec_of_the_tests", "control-token", "sk_test_orderbus"


@dataclass
class Receiver:
    """Takes webhooks as a shop does. `refuse`: how many to answer with 500 first."""

    url: str = ""
    events: list[stripe.Event] = field(default_factory=list)
    refuse: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        payload = await request.read()
        event = stripe.Webhook.construct_event(payload, request.headers["Stripe-Signature"], SECRET)
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=500)
        self.events.append(event)
        self._arrived.set()
        return web.Response()

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    async def until(self, done: Callable[[], bool]) -> None:
        """Waits for `done`, looking again whenever an event arrives."""
        async with asyncio.timeout(5):
            while not done():
                self._arrived.clear()
                await self._arrived.wait()


@dataclass
class Sandbox:
    """One running sandbox."""

    url: str
    client: stripe.StripeClient
    http: aiohttp.ClientSession
    receiver: Receiver

    async def control(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {CONTROL}"}
        async with self.http.request(method, f"{self.url}/_control/{path}", json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            data: dict[str, Any] = await answer.json()
            return data

    async def settled(self) -> None:
        """Until every webhook is delivered and noted as such."""
        for _ in range(200):
            if (await self.control("GET", "webhooks"))["undelivered"] == 0:
                return
            await asyncio.sleep(0.01)
        raise TimeoutError

    async def pay(self, card: str = "pm_card_visa", *, key: str | None = None, **more: Any) -> stripe.PaymentIntent:
        """What a gateway sends for an order: 10 dollars, confirmed at once."""
        params: dict[str, Any] = {
            "amount": 1000,
            "currency": "usd",
            "payment_method": card,
            "confirm": True,
            "return_url": "https://shop.example/back",
            "metadata": {"order": "ORD-1"},
            **more,
        }
        options: stripe.RequestOptions = {"idempotency_key": key} if key else {}
        return await self.client.v1.payment_intents.create_async(params, options)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def listening(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.add_routes([web.post("/stripe", receiver.take)])
    async with listening(app) as url:
        receiver.url = f"{url}/stripe"
        yield receiver


@contextlib.asynccontextmanager
async def sdk(url: str, key: str = KEY, retries: int = 0) -> AsyncIterator[stripe.StripeClient]:
    http_client = stripe.HTTPXClient()
    try:
        yield stripe.StripeClient(
            key, http_client=http_client, base_addresses={"api": url}, max_network_retries=retries
        )
    finally:
        await http_client.close_async()  # type: ignore[no-untyped-call]


@contextlib.asynccontextmanager
async def sandbox(folder: Path, receiver: Receiver, retries: int = 0, **settings: Any) -> AsyncIterator[Sandbox]:
    wanted = Settings(
        data=folder,
        control_token=CONTROL,
        webhook_url=receiver.url,
        webhook_secret=SECRET,
        first_retry=0.02,
        last_retry=0.1,
        **settings,
    )
    async with (
        listening(create_app(wanted)) as url,
        aiohttp.ClientSession() as http,
        sdk(url, retries=retries) as client,
    ):
        yield Sandbox(url, client, http, receiver)
