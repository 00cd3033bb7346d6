"""One orderbus for all end-to-end tests: the embedded stack and every service in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio

from deploy.client.http import ApiClient
from deploy.demo import catalogue as shipped
from deploy.demo.catalogue import WEBHOOK_EVENTS, open_shop
from deploy.demo.shop import Shop
from deploy.devstack.services import running_services
from deploy.devstack.stack import Stack
from deploy.sandboxes.client import OutsideWorld, StripeSandbox
from deploy.settings import load_all_settings
from shared.settings import Settings
from tests.e2e.conversation import World


@pytest_asyncio.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with Stack(tmp_path_factory.mktemp("e2e") / "data") as stack:
        yield stack


@pytest_asyncio.fixture(scope="session")
async def world(stack: Stack) -> AsyncIterator[World]:
    async with opened(stack) as world:
        yield world


@asynccontextmanager
async def opened(stack: Stack) -> AsyncIterator[World]:
    """Every service, and a shop with an inventory."""
    catalogue = shipped.load(stack.outside_url, codes=500)
    settings = settings_of(stack)
    async with (
        running_services(stack, workers=1) as services,
        ApiClient.of(settings) as edges,
        OutsideWorld(stack.outside_url, stack.secrets.outside_token) as outside,
        StripeSandbox(stack.stripe_url, stack.secrets.stripe_control_token) as bank,
        aiohttp.ClientSession() as browser,
    ):
        await open_shop(edges, outside, catalogue)
        registration = {"url": outside.hook_url("tests"), "events": WEBHOOK_EVENTS}
        endpoint = await edges.command("notifications", f"/stores/{catalogue.main}/webhooks", registration)
        async with Shop(settings, catalogue) as shop:
            yield World(settings, services, edges, outside, bank, shop, endpoint["secret"], browser)


def settings_of(stack: Stack) -> Settings:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in stack.environment().items():
            environment.setenv(name, value)
        return load_all_settings()
