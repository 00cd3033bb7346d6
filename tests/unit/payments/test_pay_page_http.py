"""What the pay page answers over HTTP, whatever stands in place of a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from yarl import URL

from services.payments.pay_page import PayPages, add_pay_page
from shared.pay_links import PayLinks

LINKS = PayLinks("https://pay.example", ("k" * 32,))


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def read(order: str) -> None:
        return None

    unused: Any = None
    application = web.Application()
    add_pay_page(application, PayPages(unused, LINKS, (), read))
    server = TestServer(application)
    async with server:
        yield server


@pytest.mark.parametrize(
    "token",
    ["%2F%2Fevil.example%2F", "%5C%5Cevil.example", "https:%2F%2Fevil.example", "a%0D%0ASet-Cookie:%20a=b", "%3Fa"],
)
async def test_who_comes_back_from_the_bank_is_led_to_no_other_site(server: TestServer, token: str) -> None:
    address = URL(f"{server.make_url('/pay/')}{token}?payment_intent=pi_1&redirect_status=succeeded", encoded=True)
    async with ClientSession() as session, session.get(address, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "?returned=1")
        assert "Set-Cookie" not in response.headers
