"""One headless Chromium for all tests of the session; where there is none, they are skipped."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

INSTALL = "apt-get install -y chromium"
WITHIN_MS = 60_000
"""How long anything may take to appear or to be clicked: another part of the tests runs at the same time."""
expect.set_options(timeout=WITHIN_MS)


def chromium() -> str:
    """Skips where there is none."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip(f"Chromium is not here: {INSTALL}")
    return found


@pytest_asyncio.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    program = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """At 360 px. It fails where the page's policy refused anything, or its script failed."""
    context = await browser.new_context(viewport={"width": 360, "height": 740}, locale="en-GB")
    page, errors = await context.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    page.set_default_timeout(WITHIN_MS)
    yield page
    await context.close()
    assert errors == []
