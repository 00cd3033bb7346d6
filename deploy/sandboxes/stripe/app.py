"""The sandbox put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from deploy.sandboxes.stripe.accounts import Account, Accounts, AccountSettings
from deploy.sandboxes.stripe.api import Api
from deploy.sandboxes.stripe.control import Control
from deploy.sandboxes.stripe.expiry import expire_authorisations, settle_refunds
from deploy.sandboxes.stripe.pages import Pages
from deploy.sandboxes.stripe.webhooks import SUBSCRIBED, Endpoint

LOG = logging.getLogger("stripe_sandbox")
LARGEST_BODY = 1024 * 1024
EXPIRY_SECONDS = 60
SETTLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Settings:
    """`webhook_url` None: no webhooks. `api_key` None: any key of test mode (`sk_test_…`) is right. All three are those
    of the default account."""

    data: Path
    control_token: str
    webhook_url: str | None = None
    webhook_secret: str = ""
    api_key: str | None = None
    subscribed: frozenset[str] = SUBSCRIBED
    first_retry: float = 0.5
    last_retry: float = 30.0


def create_app(settings: Settings) -> web.Application:
    """An application of its own; it opens the data folder now and closes it when the application is cleaned up."""
    default = AccountSettings(settings.api_key, settings.webhook_url or "", settings.webhook_secret)
    retries = Endpoint(first_retry=settings.first_retry, last_retry=settings.last_retry, subscribed=settings.subscribed)
    accounts = Accounts(settings.data, default, retries)

    async def lifespan(_: web.Application) -> AsyncIterator[None]:
        await accounts.start()
        acts = ((expire_authorisations, EXPIRY_SECONDS), (settle_refunds, SETTLE_SECONDS))
        tasks = [asyncio.create_task(_for_ever(act, seconds, accounts)) for act, seconds in acts]
        yield
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await accounts.stop()

    control = Control(accounts, settings.control_token)
    app = web.Application(client_max_size=LARGEST_BODY)
    app.add_routes([web.get("/health", _health), *control.routes(), *Pages(accounts).routes(), *Api(accounts).routes()])
    app.cleanup_ctx.append(lifespan)
    return app


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _for_ever(act: Callable[[Account], int], seconds: float, accounts: Accounts) -> None:
    while True:
        for account in accounts:
            try:
                act(account)
            except OSError as full:
                LOG.error("the journal cannot be written: %s", full)
        await asyncio.sleep(seconds)
