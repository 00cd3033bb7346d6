"""Every page that there is, looked at by axe-core, and in pictures by who wants them:

ORDERBUS_SCREENSHOTS=/tmp/pages .venv/bin/pytest tests/browser/test_access.py -k pictures
"""

from __future__ import annotations

import os
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page

from tests.browser.shop import PayServer
from tests.browser.situations import SITUATIONS

AXE = Path(__file__).with_name("axe") / "axe.min.js"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LANGUAGES = ("en-GB", "de-DE", "fi-FI", "tr-TR")
PICTURES = os.environ.get("ORDERBUS_SCREENSHOTS")


async def complaints(page: Page) -> list[str]:
    """What axe finds, with where."""
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = await page.evaluate("rules => axe.run(document, rules)", RULES)
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


async def too_wide(page: Page) -> bool:
    wide: bool = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wide


@pytest.mark.parametrize("situation", [*SITUATIONS, "no_order"])
async def test_axe_finds_nothing(page: Page, server: PayServer, situation: str) -> None:
    made = SITUATIONS.get(situation)
    shop = made(server) if made else server.open()
    link = server.link(shop)
    await page.goto(link if made else f"{link[:-2]}AA")
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        assert await complaints(page) == []
        assert not await too_wide(page)


async def test_axe_finds_nothing_where_the_link_is_too_old(page: Page, server: PayServer) -> None:
    link = server.link(server.open())
    server.late = timedelta(days=400)
    answer = await page.goto(link)
    assert answer and answer.status == HTTPStatus.GONE
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        assert await complaints(page) == []
        assert not await too_wide(page)


async def test_axe_finds_nothing_around_the_providers_fields(page: Page, with_stub: PayServer) -> None:
    await page.goto(with_stub.link(with_stub.open()))
    assert await complaints(page) == []


@pytest.mark.skipif(not PICTURES, reason="ORDERBUS_SCREENSHOTS names no folder")
@pytest.mark.parametrize("language", LANGUAGES)
async def test_pictures(browser: Browser, server: PayServer, language: str) -> None:
    folder = Path(PICTURES or "")
    for width in (360, 1280):
        for scheme in SCHEMES:
            context = await browser.new_context(
                viewport={"width": width, "height": 720}, color_scheme=scheme, locale=language
            )
            page = await context.new_page()
            for name, made in SITUATIONS.items():
                await page.goto(server.link(made(server, locale=language)))
                await page.wait_for_timeout(100)
                assert not await too_wide(page), (name, language, width)
                await page.screenshot(path=folder / f"{name}-{language}-{width}-{scheme}.png", full_page=True)
            await page.goto(f"{server.url}/pay/x")
            await page.screenshot(path=folder / f"no_order-{language}-{width}-{scheme}.png", full_page=True)
            await context.close()
