"""HTTP actions against a real server: what is sent, what each answer means, and what is never shown."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from multidict import CIMultiDictProxy

from services.fulfillment.domain.kinds.access import AccessOperation
from services.fulfillment.domain.kinds.http_action import CallHttpAction, RevokeHttpAction
from services.fulfillment.gateways.http_actions import HttpActions, resolved
from shared.contracts.http_action import HttpAction
from shared.contracts.http_request import filled
from shared.core import OperatorFault, Retry, Unknown
from shared.shell.http.outbound import Outbound
from shared.shell.http.signatures import signature
from tests.unit.fulfillment.test_hostile_fields import hostile

KEY = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
SECRETS = {"school": "s3cret-token", "signing": KEY, "split": "a\r\nX-Admin: 1"}


@dataclass
class Asked:
    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass
class School:
    """Answers as a test sets it."""

    url: str = ""
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    delay: float = 0
    asked: list[Asked] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(Asked(request.method, request.raw_path, request.headers, await request.read()))
        await asyncio.sleep(self.delay)
        status, body = self.answers.pop(0) if self.answers else (200, b'{"ok": true}')
        return web.Response(status=status, body=body)


@dataclass
class Requests:
    current: bool = True
    replaced: bool = False

    async def is_current(self, operation: AccessOperation) -> bool:
        return self.current

    async def is_replaced(self, operation: AccessOperation) -> bool:
        return self.replaced


class Vault:
    async def secret(self, store: str, name: str) -> str | None:
        return SECRETS.get(name) if store == "acme" else None


@pytest_asyncio.fixture
async def school() -> AsyncIterator[School]:
    school = School()
    runner = web.ServerRunner(web.Server(school.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    school.url = f"http://127.0.0.1:{runner.addresses[0][1]}/grants"
    yield school
    await runner.cleanup()


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[HttpActions]:
    gateway = HttpActions(Outbound(private=True), Requests(), Vault(), timeout=0.5, clock=lambda: 1_700_000_000)
    yield gateway
    await gateway.close()


def grant(url: str, fields: dict[str, str] | None = None, **changes: Any) -> CallHttpAction:
    action = HttpAction.model_validate_json(orjson.dumps({"kind": "http", "url": url, **changes}))
    return CallHttpAction("acme", "o-1", "1", action, filled(action, fields or {}))


def revoke(url: str, **changes: Any) -> RevokeHttpAction:
    action = grant(url, revoke={"method": "DELETE", "url": url, **changes}).action
    assert action.revoke
    return RevokeHttpAction("acme", "o-1", "1", action, filled(action.revoke, {}))


async def test_the_call_is_made_as_configured_with_its_secrets_and_signed(school: School, gateway: HttpActions) -> None:
    headers = {"Authorization": {"secret": "school", "prefix": "Bearer "}, "X-Order": "{{order.number}}"}
    call = grant(
        f"{school.url}/{{{{item.sku}}}}?a=1",
        {"order.number": "ORD-7", "item.sku": "a/b c"},
        headers=headers,
        body={"order": "{{order.number}}"},
        signed="signing",
        method="PUT",
    )

    assert await gateway.perform(call, "key-1") == CallHttpAction.Done()

    (asked,) = school.asked
    assert (asked.method, asked.path, asked.body) == ("PUT", "/grants/a%2Fb%20c?a=1", b'{"order":"ORD-7"}')
    assert asked.headers["Authorization"] == "Bearer s3cret-token"
    assert asked.headers["X-Order"] == "ORD-7"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["Idempotency-Key"] == asked.headers["webhook-id"] == "key-1"
    assert asked.headers["webhook-signature"] == signature(KEY, "key-1", 1_700_000_000, asked.body)


@pytest.mark.parametrize("value", ["..;", "a;b", "a&b=c", "a:b@c", "$(x)", "a,b!'*+", "é;", "%3B"])
async def test_a_field_arrives_as_it_was_encoded(school: School, gateway: HttpActions, value: str) -> None:
    """Some servers drop what follows a `;` in a path, and read `..;` as `..`."""
    call = grant(school.url + "/{{custom.a}}/x?q={{custom.a}}", {"custom.a": value})
    assert await gateway.perform(call, "k") == CallHttpAction.Done()
    encoded = quote(value, safe="")
    assert school.asked[-1].path == f"/grants/{encoded}/x?q={encoded}"


SAID = {
    "as it is": (b"no: s3cret/token+x ", "no: ***"),
    "JSON": (b'{"sent":"s3cret\\/token+x"}', "is not shown"),
    "JSON, by numbers": (b'{"sent":"s3cret\\u002Ftoken\\u002bx"}', "is not shown"),
    "URL": (b"sent=s3cret%2Ftoken%2Bx", "is not shown"),
    "HTML": (b"<p>s3cret&#47;token&#x2B;x</p>", "is not shown"),
    "split": ("s3cret\u200b/token+x".encode(), "is not shown"),
}


@pytest.mark.parametrize("encoded", SAID)
async def test_a_secret_that_an_answer_repeats_is_not_shown(
    school: School, gateway: HttpActions, encoded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECRETS, "school", "s3cret/token+x")
    body, shown = SAID[encoded]
    school.answers = [(422, body)]
    said = await gateway.perform(grant(school.url, headers={"X-Key": {"secret": "school"}}, show_answers=True), "k")
    assert isinstance(said, CallHttpAction.Failed)
    assert shown in said.text
    assert "s3cret" not in said.text


async def test_a_call_that_another_one_replaces_is_not_made(school: School) -> None:
    gateway = HttpActions(Outbound(private=True), Requests(replaced=True), Vault())
    answer = await gateway.perform(replace(grant(school.url), number=1), "key-1")
    assert isinstance(answer, CallHttpAction.Failed) and answer.code == "not_needed"
    assert school.asked == []
    assert await gateway.perform(grant(school.url), "of an earlier build") == CallHttpAction.Done()
    await gateway.close()


async def test_hostile_fields_add_no_header_and_no_second_request(school: School, gateway: HttpActions) -> None:
    rng = random.Random(7)
    usual: set[str] = set()
    for number in range(200):
        value = hostile(rng).encode("utf-8", "replace").decode()
        fields = {"custom.a": f"v{value}"}
        call = grant(
            school.url + "/{{custom.a}}/x?q={{custom.a}}",
            fields,
            headers={"X-A": "{{custom.a}}"},
            body=["{{custom.a}}"],
        )
        assert await gateway.perform(call, f"key-{number}") == CallHttpAction.Done()
        asked = school.asked[-1]
        assert len(school.asked) == number + 1
        usual = usual or set(asked.headers)
        assert set(asked.headers) == usual
        assert asked.path.partition("?")[0].count("/") == 3
        assert orjson.loads(asked.body) == [f"v{value}"]


@pytest.mark.parametrize("method", ["DELETE", "GET"])
async def test_a_call_may_have_no_body(school: School, gateway: HttpActions, method: str) -> None:
    assert await gateway.perform(grant(school.url, method=method), "k") == CallHttpAction.Done()
    (asked,) = school.asked
    assert (asked.method, asked.body, asked.headers.get("Content-Type")) == (method, b"", None)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"headers": {"X": {"secret": "unknown"}}}, "secret unknown is not set: orderbus secrets set"),
        ({"headers": {"X": {"secret": "split"}}}, "one line of ASCII"),
        ({"signed": "school"}, "no signing key"),
    ],
)
async def test_a_secret_that_cannot_be_used_is_the_operators_fault_and_is_not_shown(
    school: School, gateway: HttpActions, given: dict[str, Any], hint: str
) -> None:
    answer = await gateway.perform(grant(school.url, **given), "k")

    assert isinstance(answer, OperatorFault) and hint in answer.text
    assert not any(secret in answer.text for secret in SECRETS.values())
    assert school.asked == []


@pytest.mark.parametrize(
    ("status", "outcome", "hint"),
    [
        (204, CallHttpAction.Done, ""),
        (302, OperatorFault, "final URL"),
        (400, CallHttpAction.Failed, "URL and body of the action"),
        (401, OperatorFault, "product's secrets"),
        (403, OperatorFault, "permission"),
        (404, OperatorFault, "Nothing exists at this URL"),
        (405, OperatorFault, "does not accept POST"),
        (409, CallHttpAction.Failed, "Check the customer there"),
        (422, CallHttpAction.Failed, "Find the reason there"),
        (429, Retry, "unavailable or busy"),
        (500, Retry, "unavailable or busy"),
    ],
)
async def test_what_a_status_means(
    school: School, gateway: HttpActions, status: int, outcome: type[Any], hint: str
) -> None:
    school.answers = [(status, b"")]

    answer = await gateway.perform(grant(school.url), "k")

    assert isinstance(answer, outcome)
    assert hint in (getattr(answer, "text", "") or getattr(answer, "error", ""))


async def test_where_the_path_names_a_customer_an_unknown_one_is_about_the_item(
    school: School, gateway: HttpActions
) -> None:
    school.answers = [(404, b""), (410, b"")]
    call = grant(school.url + "/{{customer.id}}", {"customer.id": "c-1"})

    codes = [getattr(await gateway.perform(call, "k"), "code", "") for _ in range(2)]

    assert codes == ["not_found", "gone"]


async def test_success_may_be_other_statuses_and_need_a_value(school: School, gateway: HttpActions) -> None:
    school.answers = [
        (409, b"{}"),
        (200, b"{}"),
        (200, b'{"data":{"ok":true}}'),
        (200, b'{"data":{"ok":1}}'),
        (200, b"<"),
    ]
    assert await gateway.perform(grant(school.url, statuses=[201, 409]), "k") == CallHttpAction.Done()
    assert isinstance(await gateway.perform(grant(school.url, statuses=[201, 409]), "k"), CallHttpAction.Unresolved)
    expecting = grant(school.url, expected={"pointer": "/data/ok", "value": True})
    assert await gateway.perform(expecting, "k") == CallHttpAction.Done()
    for _ in range(2):
        answer = await gateway.perform(expecting, "k")
        assert isinstance(answer, CallHttpAction.Unresolved) and "at /data/ok" in answer.text


def test_json_pointers_are_those_of_the_rfc() -> None:
    document = orjson.loads(b'{"foo":["bar","baz"],"":0,"a/b":1,"m~n":8,"k\\"l":6," ":7}')
    for pointer, value in {"": document, "/foo/1": "baz", "/": 0, "/a~1b": 1, "/m~0n": 8, '/k"l': 6, "/ ": 7}.items():
        assert resolved(document, pointer) == value
    for pointer in ("/foo/01", "/foo/-", "/foo/2", "/x", "/a~1b/x"):
        with pytest.raises(LookupError):
            resolved(document, pointer)


async def test_a_revocation_of_what_is_gone_is_done(school: School, gateway: HttpActions) -> None:
    school.answers = [(410, b"")]
    assert await gateway.perform(revoke(school.url), "k") == RevokeHttpAction.Done()
    assert school.asked[0].method == "DELETE"


async def test_no_answer_is_shown_unless_it_may_be_and_never_a_secret(school: School, gateway: HttpActions) -> None:
    body = b'{"error":\n"token s3cret-token may not", "x": "' + b"y" * 500 + b'"}'
    headers = {"Authorization": {"secret": "school"}}
    school.answers = [(422, body), (422, body)]

    hidden = await gateway.perform(grant(school.url, headers=headers), "k")
    shown = await gateway.perform(grant(school.url, headers=headers, show_answers=True), "k")

    assert isinstance(hidden, CallHttpAction.Failed) and "token" not in hidden.text
    assert isinstance(shown, CallHttpAction.Failed)
    assert 'It says: "{"error": "token *** may not"' in shown.text and "s3cret" not in shown.text
    assert len(shown.text) < 500


async def test_after_a_timeout_the_outcome_is_unknown(school: School, gateway: HttpActions) -> None:
    school.delay = 2
    assert isinstance(await gateway.perform(grant(school.url), "k"), Unknown)
    assert isinstance(await gateway.find(grant(school.url), "k"), Unknown)


async def test_private_addresses_are_not_reached_unless_allowed(school: School) -> None:
    guarded = HttpActions(Outbound(private=False), Requests(), Vault())
    answer = await guarded.perform(grant(school.url), "k")
    await guarded.close()
    assert isinstance(answer, OperatorFault) and "private address" in answer.text
    assert school.asked == []


async def test_a_call_that_is_no_longer_needed_ends_instead_of_waiting(school: School) -> None:
    gateway = HttpActions(Outbound(private=True), Requests(current=False), Vault())
    school.answers = [(403, b"")]
    answer = await gateway.perform(grant(school.url), "k")
    await gateway.close()
    assert isinstance(answer, CallHttpAction.Failed) and answer.code == "not_needed"
