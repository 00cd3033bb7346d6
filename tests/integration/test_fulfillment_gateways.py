"""Fulfillment's gateways against real counterparts: an aiohttp server, PostgreSQL, and addresses that are forbidden."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.domain.kinds.access import AccessOperation
from services.fulfillment.domain.operations import (
    POOL_EMPTY,
    GrantAccess,
    ReturnCodes,
    RevokeAccess,
    SignDownload,
    StoreCodes,
    TakeCode,
)
from services.fulfillment.gateways.code_vault import CodeVault
from services.fulfillment.gateways.codes import Codes
from services.fulfillment.gateways.courses import Courses
from services.fulfillment.gateways.links import BadLink, Claim, Links
from services.fulfillment.storage import metadata
from shared.contracts.values import Customer
from shared.core import OperatorFault, Retry, Unknown
from shared.shell.http.outbound import MAX_RESPONSE, Blocked, NoResponse, NotSent, Outbound
from shared.shell.postgres.engine import create_engine
from tests.integration.conftest import NewDatabase
from tests.integration.seals import Seals

ADA = Customer(name="Ada", email="ada@example.org")


# Course platforms


@dataclass
class Platform:
    """A course platform that gives the answers that a test sets."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    delay: float = 0
    hang_up: bool = False
    body: bytes = b"{}"
    asked: list[tuple[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.headers["Idempotency-Key"], orjson.loads(await request.read())))
        await asyncio.sleep(self.delay)
        if self.hang_up and request.transport:
            request.transport.close()
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        return web.Response(status=status, headers=headers, body=self.body)


@dataclass
class Requests:
    """Whether calls are still needed."""

    current: bool = True

    async def is_current(self, operation: AccessOperation) -> bool:
        return self.current


@pytest_asyncio.fixture
async def platform() -> AsyncIterator[Platform]:
    platform = Platform()
    application = web.Application()
    application.router.add_post("/access", platform.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    platform.url = f"http://127.0.0.1:{runner.addresses[0][1]}/access"
    yield platform
    await runner.cleanup()


@pytest_asyncio.fixture
async def courses() -> AsyncIterator[Courses]:
    gateway = Courses(Outbound(private=True), Requests(), timeout=0.5)
    yield gateway
    await gateway.close()


def grant(url: str) -> GrantAccess:
    return GrantAccess(url, "o-1", "2", "Course", 1, ADA)


def revoke(url: str) -> RevokeAccess:
    return RevokeAccess(url, "o-1", "2", "Course", 1, ADA)


async def test_access_is_granted_and_revoked_under_the_operations_key(platform: Platform, courses: Courses) -> None:
    assert await courses.perform(grant(platform.url), "key-1") == GrantAccess.Done()
    assert await courses.perform(revoke(platform.url), "key-2") == RevokeAccess.Done()

    granted = {
        "order": "o-1",
        "item": "2",
        "customer": "ada@example.org",
        "name": "Ada",
        "product": "Course",
        "quantity": 1,
        "grant": True,
    }
    assert platform.asked == [("key-1", granted), ("key-2", granted | {"grant": False})]


async def test_a_passing_fault_is_retried_when_the_platform_says(platform: Platform, courses: Courses) -> None:
    platform.answers = [(500, {}), (429, {"Retry-After": "7"}), (503, {"Retry-After": "nonsense"})]

    answers = [await courses.perform(grant(platform.url), "k") for _ in range(3)]

    assert [(type(answer), getattr(answer, "after", None)) for answer in answers] == [
        (Retry, None),
        (Retry, 7.0),
        (Retry, None),
    ]
    assert "500" in getattr(answers[0], "error", "")


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (400, "bad_request", "access endpoint"),
        (409, "conflict", "Check the customer there"),
        (418, "rejected", "reason"),
        (422, "rejected", "reason"),
    ],
)
async def test_a_fault_of_this_item_fails_and_says_what_to_do(
    platform: Platform, courses: Courses, status: int, code: str, hint: str
) -> None:
    platform.answers = [(status, {"Location": "http://169.254.169.254/"})]

    answer = await courses.perform(grant(platform.url), "k")

    assert isinstance(answer, GrantAccess.Failed)
    assert answer.code == code
    assert hint in answer.text
    assert f"127.0.0.1 answered {status}." in answer.text


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "credentials"), (403, "permission"), (404, "URL"), (405, "POST"), (302, "final URL")],
)
async def test_a_fault_of_the_configuration_is_the_operators_fault(
    platform: Platform, courses: Courses, status: int, hint: str
) -> None:
    platform.answers = [(status, {"Location": "http://169.254.169.254/"})]

    answer = await courses.perform(grant(platform.url), "k")

    assert isinstance(answer, OperatorFault)
    assert hint in answer.text and f"127.0.0.1 answered {status}." in answer.text
    assert len(platform.asked) == 1, "redirects are not followed"


async def test_a_host_that_does_not_exist_is_the_operators_fault(courses: Courses) -> None:
    answer = await courses.perform(grant("http://no-such-host.invalid/access"), "k")
    assert isinstance(answer, OperatorFault) and "Correct the URL" in answer.text


async def test_a_call_that_is_no_longer_needed_ends_instead_of_waiting(platform: Platform) -> None:
    gateway = Courses(Outbound(private=True), Requests(current=False))
    platform.answers = [(403, {}), (200, {})]
    answer = await gateway.perform(grant(platform.url), "k")
    assert isinstance(answer, GrantAccess.Failed) and answer.code == "not_needed" and "answered 403" in answer.text
    assert await gateway.perform(grant(platform.url), "k") == GrantAccess.Done()
    await gateway.close()


def test_a_destination_is_the_urls_host_and_path_without_credentials() -> None:
    assert grant("https://u:secret@courses.example/a/b?token=secret").destination() == "courses.example/a/b"
    assert grant("https://courses.example/a").destination() != grant("https://courses.example/b").destination()


async def test_access_to_a_course_that_is_gone_is_revoked(platform: Platform, courses: Courses) -> None:
    platform.answers = [(410, {}), (410, {})]

    assert await courses.perform(revoke(platform.url), "k") == RevokeAccess.Done()
    assert isinstance(await courses.perform(grant(platform.url), "k"), OperatorFault)


async def test_after_a_timeout_or_a_lost_answer_the_outcome_is_unknown(platform: Platform, courses: Courses) -> None:
    platform.delay = 2
    assert isinstance(await courses.perform(grant(platform.url), "k"), Unknown)
    platform.delay, platform.hang_up = 0, True
    assert isinstance(await courses.perform(grant(platform.url), "k"), Unknown)
    assert isinstance(await courses.find(grant(platform.url), "k"), Unknown)


async def test_a_platform_that_is_not_running_is_retried(courses: Courses) -> None:
    answer = await courses.perform(grant("http://127.0.0.1:1/access"), "k")

    assert isinstance(answer, Retry)
    assert "127.0.0.1 cannot be reached" in answer.error


# Addresses that requests must not reach


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/access",
        "http://localhost:{port}/access",
        "http://[::1]:{port}/access",
        "http://[::ffff:127.0.0.1]:{port}/access",
        "http://0x7f.1:{port}/access",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.1.2.3/",
        "http://[fd00::1]/",
        "http://0.0.0.0:{port}/access",
        "ftp://example.org/",
        "http://2130706433:{port}/access",
        "http://127.1:{port}/access",
        "http://0x7f.1:{port}/access",
        "http://0177.0.0.1:{port}/access",
        "http://127.0.0.1.:{port}/access",
        "http://127。0。0。1:{port}/access",
        "http://[::ffff:0:7f00:1]:{port}/access",
    ],
)
async def test_private_addresses_are_not_reached_unless_allowed(platform: Platform, url: str) -> None:
    guarded = Courses(Outbound(private=False), Requests(), timeout=2)
    port = platform.url.rsplit(":", 1)[1].partition("/")[0]

    answer = await guarded.perform(grant(url.format(port=port)), "k")
    await guarded.close()

    assert isinstance(answer, OperatorFault)
    assert platform.asked == []


async def test_the_answers_size_and_time_are_bounded(platform: Platform) -> None:
    outbound = Outbound(private=True)
    platform.body = b"x" * 1_000_000
    reply = await outbound.post(platform.url, b"{}", {"Idempotency-Key": "k"}, timeout=2)
    assert len(reply.body) == MAX_RESPONSE
    platform.delay = 2
    with pytest.raises(NoResponse, match="time-out"):
        await outbound.post(platform.url, b"{}", {"Idempotency-Key": "k"}, timeout=0.1)
    with pytest.raises(NotSent):
        await outbound.post("http://no-such-host.invalid/", b"{}", {}, timeout=5)
    with pytest.raises(Blocked):
        await outbound.post("http:///", b"{}", {}, timeout=5)
    await outbound.close()


# Download links


async def test_a_link_names_the_item_it_was_signed_for() -> None:
    links = Links("a secret of some length", "https://shop.example/")
    until = datetime(2026, 5, 1, tzinfo=UTC)

    done = await links.perform(SignDownload("o-1", "2", until), "k")

    assert isinstance(done, SignDownload.Done)
    root, _, token = done.link.rpartition("/")
    assert root == "https://shop.example/downloads"
    assert links.read(token) == Claim("o-1", "2", until)


def test_a_link_that_was_changed_or_signed_elsewhere_is_rejected() -> None:
    links = Links("a secret of some length", "https://shop.example")
    token = links.url(Claim("o-1", "2", datetime(2026, 5, 1, tzinfo=UTC))).rpartition("/")[2]
    payload, _, signature = token.partition(".")
    other = Links("another secret", "https://shop.example").url(Claim("o-1", "2", datetime.now(UTC)))
    flipped = "A" if payload[5] != "A" else "B"

    for bad in (
        "",
        ".",
        payload,
        f"{payload}.",
        f".{signature}",
        f"{payload[:5]}{flipped}{payload[6:]}.{signature}",
        f"{payload}.{signature[:-4]}",
        f"{token}.x",
        "ü.ü",
        other.rpartition("/")[2],
    ):
        with pytest.raises(BadLink):
            links.read(bad)


# Pools of codes


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    url = await new_database("fulfillment")
    engine = create_engine(url, "test", pool=10)
    yield engine
    await engine.dispose()


async def add(codes: Codes, *given: str, pool: str = "acme/keys", key: str = "") -> StoreCodes.Done:
    done = await codes.perform(StoreCodes(pool, given), key or str(uuid4()))
    assert isinstance(done, StoreCodes.Done)
    return done


async def test_codes_are_added_once(engine: AsyncEngine) -> None:
    codes = Codes(engine, timedelta(seconds=1), CodeVault(Seals()))
    key = str(uuid4())

    assert await add(codes, "A", "B", key=key) == StoreCodes.Done(2, 1)
    assert await add(codes, "A", "B", key=key) == StoreCodes.Done(2, 1), "the same operation, repeated"
    assert await add(codes, "B", "C") == StoreCodes.Done(1, 1)
    assert await add(codes, "A", pool="acme/other") == StoreCodes.Done(1, 1)


async def test_codes_are_taken_in_order_all_or_none_and_the_same_when_repeated(engine: AsyncEngine) -> None:
    codes = Codes(engine, timedelta(seconds=1), CodeVault(Seals()))
    await add(codes, "A", "B", "C")

    first = TakeCode("acme/keys", "o-1", "1", 2)
    assert await codes.perform(first, "k") == TakeCode.Done(("A", "B"))
    assert await codes.perform(first, "k") == TakeCode.Done(("A", "B"))

    empty = await codes.perform(TakeCode("acme/keys", "o-2", "1", 2), "k")
    assert isinstance(empty, TakeCode.Failed)
    assert (empty.code, empty.recheck_after) == (POOL_EMPTY, timedelta(seconds=1))
    assert await codes.perform(TakeCode("acme/keys", "o-3", "1", 1), "k") == TakeCode.Done(("C",))


async def test_codes_that_the_customer_has_not_seen_are_returned(engine: AsyncEngine) -> None:
    codes = Codes(engine, timedelta(seconds=1), CodeVault(Seals()))
    await add(codes, "A")
    await codes.perform(TakeCode("acme/keys", "o-1", "1", 1), "k")

    assert await codes.perform(ReturnCodes("acme/keys", "o-1", "1"), "k") == ReturnCodes.Done()
    assert await codes.perform(TakeCode("acme/keys", "o-2", "1", 1), "k") == TakeCode.Done(("A",))


async def test_concurrent_calls_never_take_the_same_code(engine: AsyncEngine) -> None:
    codes = Codes(engine, timedelta(seconds=1), CodeVault(Seals()))
    await add(codes, *(f"C{number:02}" for number in range(20)))

    async def take(order: int, item: str) -> tuple[str, ...]:
        while True:
            answer = await codes.perform(TakeCode("acme/keys", f"o-{order}", item, 2), "k")
            if isinstance(answer, TakeCode.Done):
                return answer.codes
            await asyncio.sleep(0.01)

    # Each item is asked for twice at the same moment, as after a lease that ran out.
    pairs = await asyncio.gather(*(take(order, "1") for order in range(10) for _ in range(2)))

    taken = [code for pair in set(pairs) for code in pair]
    assert len(set(pairs)) == 10
    assert len(taken) == len(set(taken)) == 20


async def test_a_call_is_retried_when_the_database_does_not_answer() -> None:
    engine = create_engine("postgresql://unknown@127.0.0.1:1/none", "test")

    answer = await Codes(engine, timedelta(seconds=1), CodeVault(Seals())).perform(
        TakeCode("acme/keys", "o-1", "1", 1), "k"
    )

    assert isinstance(answer, Retry)
    await engine.dispose()


async def test_the_migration_makes_the_tables_that_storage_describes(engine: AsyncEngine) -> None:
    def differing(connection: sa.Connection) -> list[str]:
        inspector = sa.inspect(connection)
        return [
            table.name
            for table in metadata.sorted_tables
            if {column["name"] for column in inspector.get_columns(table.name)} != set(table.columns.keys())
        ]

    async with engine.connect() as connection:
        assert await connection.run_sync(differing) == []
