"""Every route that staff sends on, asked with every role, about a store of one's own and another: what is permitted is
sent to its owner for this caller, and nothing else is. (What owners check: `test_route_walk.py`.)"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp import web
from multidict import CIMultiDict

from services.staff.domain.roles import BUILT_IN
from services.staff.owners.commands import OwnerRoute, owner_commands, owner_reads
from services.staff.owners.routes import add_owner_commands, add_owner_reads
from services.staff.people.people import People
from services.staff.people.tables import audit
from services.staff.storage import orders
from shared.shell.http.assertions import RequestHead
from shared.shell.http.outbound import Response
from shared.shell.http.principals import Principal
from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import BROWSER, Staff, staff_api, staff_engine

OWN, FOREIGN = "own", "foreign"
HEADERS = {"Idempotency-Key": "k", "Content-Type": "application/json"}


@dataclass
class Sent:
    """In place of the owners: what would be sent to them."""

    requests: list[tuple[Principal, str, RequestHead]] = field(default_factory=list)

    async def send(self, caller: Principal, owner: str, head: RequestHead, body: bytes = b"") -> Response:
        self.requests.append((caller, owner, head))
        return Response(202, CIMultiDict({"Content-Type": "application/json"}), b"{}")


@dataclass
class Rig:
    staff: Staff
    sent: Sent


@dataclass
class Api:
    """As the routes use it."""

    engine: Any


@pytest_asyncio.fixture
async def rig(new_database: NewDatabase) -> AsyncIterator[Rig]:
    sent: Any = Sent()
    async with staff_engine(new_database) as engine:
        async with engine.begin() as connection:
            for store in (OWN, FOREIGN):
                await connection.execute(sa.insert(orders).values(order_id=f"o-{store}", store=store))

        def further(application: web.Application, people: People) -> None:
            api: Any = Api(engine)
            add_owner_commands(application, api, sent, people.writes)
            add_owner_reads(application, api, sent)

        async with staff_api(engine, further=further) as staff:
            yield Rig(staff, sent)


def path_of(command: OwnerRoute, store: str) -> str:
    values = {"store": store, "recipient": f"{store}~customer~c-1", "id": "7"}
    if command.scope == "found":
        values["key"] = values["order"] = f"o-{store}"
    path = re.sub(r"\{(\w+)(:[^{}]*(\{[^{}]*\})?[^{}]*)?\}", lambda found: values.get(found[1], "x-1"), command.path)
    return f"{path}?store={store}" if command.scope == "query" else path


def expected(command: OwnerRoute, role: str, given: str, about: str) -> int:
    permitted = any(fnmatchcase(command.permission, pattern) for pattern in BUILT_IN[role].permissions)
    if not permitted or (command.scope == "every" and given != "*"):
        return 403
    if given == "*" or about == OWN:
        return 202
    return 404 if command.scope == "found" else 403


@pytest.mark.parametrize("about", [OWN, FOREIGN])
@pytest.mark.parametrize("given", [OWN, "*"])
@pytest.mark.parametrize("role", BUILT_IN)
async def test_every_route_with_every_role_in_each_store(rig: Rig, role: str, given: str, about: str) -> None:
    browser = await rig.staff.signed_in("caller", (role, given))
    wrong, through = [], []
    for command in (*owner_commands(), *owner_reads()):
        path = path_of(command, about)
        body: dict[str, Any] | None = None if command.method == "GET" else {}
        status = (await browser.ask(command.method, f"/{command.owner}{path}", body, headers=HEADERS)).status
        right = expected(command, role, given, about)
        if status != right:
            wrong.append(f"{command.method} {command.route}: {status}, not {right}")
        if right == 202:
            through.append((command, path))
    assert wrong == []
    assert [(owner, head.method, head.target) for _, owner, head in rig.sent.requests] == [
        (command.owner, command.method, path) for command, path in through
    ]
    for (caller, _, _), (command, _) in zip(rig.sent.requests, through, strict=True):
        assert caller.name == "user:id-caller" and caller.may(command.permission)
        assert caller.stores == (None if given == "*" else frozenset({OWN}))
    async with rig.staff.engine.connect() as connection:
        count = sa.select(sa.func.count()).select_from(audit).where(audit.c.kind == "command.sent")
        assert (await connection.execute(count)).scalar_one() == sum(each.method != "GET" for each, _ in through)


async def test_no_route_is_open_without_a_caller_or_to_a_page_of_another_site(rig: Rig) -> None:
    browser = await rig.staff.signed_in("root", ("admin", "*"))
    for command in owner_commands():
        path = f"/{command.owner}{path_of(command, OWN)}"
        assert (await rig.staff.browser("unknown").ask(command.method, path, {}, headers=HEADERS)).status == 401
        other = {**HEADERS, "Sec-Fetch-Site": "cross-site"}
        assert (await browser.ask(command.method, path, {}, headers=other)).status == 403, path
    for read in owner_reads():
        path = f"/{read.owner}{path_of(read, OWN)}"
        assert (await rig.staff.browser("unknown").ask("GET", path)).status == 401
    assert BROWSER["Sec-Fetch-Site"] == "same-origin" and rig.sent.requests == []
