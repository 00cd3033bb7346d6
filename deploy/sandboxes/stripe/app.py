"""The sandbox put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from deploy.sandboxes.stripe.api import Api
from deploy.sandboxes.stripe.control import Control
from deploy.sandboxes.stripe.faults import Faults
from deploy.sandboxes.stripe.later import expire_authorisations, settle_refunds
from deploy.sandboxes.stripe.pages import Pages
from deploy.sandboxes.stripe.store import Store
from deploy.sandboxes.stripe.webhooks import SUBSCRIBED, Endpoint, Webhooks

LOG = logging.getLogger("stripe_sandbox")
LARGEST_BODY = 1024 * 1024
EXPIRY_SECONDS = 60
SETTLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Settings:
    """`webhook_url` None: no webhooks. `api_key` None: any key of test mode (`sk_test_…`) is right."""

    data: Path
    control_token: str
    webhook_url: str | None = None
    webhook_secret: str = ""
    api_key: str | None = None
    subscribed: frozenset[str] = SUBSCRIBED
    first_retry: float = 0.5
    last_retry: float = 30.0

    @property
    def endpoint(self) -> Endpoint | None:
        if not self.webhook_url:
            return None
        return Endpoint(self.webhook_url, self.webhook_secret, self.first_retry, self.last_retry)


def create_app(settings: Settings) -> web.Application:
    """An application of its own; it opens the data folder now and closes it when the application is cleaned up."""
    store = Store(settings.data, settings.subscribed if settings.endpoint else frozenset())
    faults = Faults()
    webhooks = Webhooks(store, faults, settings.endpoint)
    api = Api(store, webhooks, faults, settings.api_key)
    control = Control(api, store, webhooks, faults, settings.control_token)

    async def lifespan(_: web.Application) -> AsyncIterator[None]:
        await webhooks.start()
        acts = ((expire_authorisations, EXPIRY_SECONDS), (settle_refunds, SETTLE_SECONDS))
        tasks = [asyncio.create_task(_for_ever(act, seconds, api, store)) for act, seconds in acts]
        yield
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await webhooks.stop()
        store.close()

    app = web.Application(client_max_size=LARGEST_BODY)
    app.add_routes([web.get("/health", _health), *control.routes(), *Pages(api).routes(), *api.routes()])
    app.cleanup_ctx.append(lifespan)
    return app


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _for_ever(act: Callable[[Api, Store], int], seconds: float, api: Api, store: Store) -> None:
    while True:
        try:
            act(api, store)
        except OSError as full:
            LOG.error("the journal cannot be written: %s", full)
        await asyncio.sleep(seconds)
