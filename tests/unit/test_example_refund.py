"""The example that sends a refund: answers that are not the API's, and lost ones, tell no secret and lose no key."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

FILE = Path(__file__).parents[2] / "examples/staff/refund.py"


@pytest.fixture
def refund(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("ORDERBUS_API_TOKEN", "sk_secret_token")
    spec = importlib.util.spec_from_file_location("example_refund", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TRIES", 1)
    return module


@pytest_asyncio.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/ends":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=401, text="<html>Sign in</html>", content_type="text/html")

    app = web.Application()
    app.router.add_post("/{path}", answer)
    server = TestServer(app)
    await server.start_server()
    monkeypatch.setenv("PAYMENTS_URL", str(server.make_url("")).rstrip("/"))
    yield
    await server.close()


@pytest.mark.usefixtures("proxy")
async def test_a_refusal_of_a_proxy_is_one(refund: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    async with ClientSession() as session:
        status, answer = await refund.send(session, "/page", {}, "k-1")
    assert (status, answer) == (401, {"title": "HTTP 401", "code": "no_answer_of_the_api"})
    assert "sk_secret" not in "".join(capsys.readouterr())


@pytest.mark.usefixtures("proxy")
async def test_after_a_lost_answer_the_key_is_said(refund: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    async with ClientSession() as session:
        with pytest.raises(SystemExit, match="--key k-1"):
            await refund.send(session, "/ends", {}, "k-1")
    said = "".join(capsys.readouterr())
    assert "no answer: ServerDisconnectedError" in said
    assert "sk_secret" not in said


async def test_headers_of_other_publishers_are_read_over(refund: ModuleType) -> None:
    def record(*headers: tuple[str, bytes | None]) -> Any:
        return SimpleNamespace(headers=headers, value=b"{}")

    async def events() -> AsyncIterator[Any]:
        yield record(("ce_type", None), ("ce_correlationid", b"id-1"))
        yield record(("ce_type", b"\xff"))
        yield record(("ce_type", b"payment.refunded"), ("ce_correlationid", b"id-1"))

    assert await refund.outcome(events(), "id-1") == ("payment.refunded", {})
