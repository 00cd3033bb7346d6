"""Stripe is slow: every call in flight has a connection, so none is given up before it was made."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime

from aiohttp import web
from pydantic import SecretStr

from services.payments.domain.operations import FindCharge
from services.payments.gateways.stripe.gateway import StripeGateway
from services.payments.gateways.stripe.settings import StripeSettings

CALLS = 150
"""Fewer than the kinds of operations of a worker may have in flight together."""


async def test_no_call_waits_for_the_connections_of_others() -> None:
    """One whose time was over meanwhile would look like one whose answer was lost."""
    arrived, all_there = 0, asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        if arrived == CALLS:
            all_there.set()
        await all_there.wait()
        error = {"type": "invalid_request_error", "code": "resource_missing", "message": "no such intent"}
        return web.json_response({"error": error}, status=404)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = StripeSettings(
        api_key=SecretStr("sk_test_x"),
        webhook_secret=SecretStr("whsec_1"),
        api_base=url,
        requests_per_second=500,
        timeout=60,
    )
    gateway, since = StripeGateway(settings), datetime.now(UTC)
    looks = (gateway.perform(FindCharge("stripe", f"o-{n}", 1, "pi_x", since), "key") for n in range(CALLS))
    answers = asyncio.gather(*looks)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20):
            await all_there.wait()
    at_once = arrived
    all_there.set()
    found = await answers
    await gateway.close()
    await runner.cleanup()
    assert at_once == CALLS
    assert {type(one) for one in found} == {FindCharge.Failed}
