"""Users, what they may give each other, invitations, tokens, roles, second factors; and what is written of it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.totp import code_at
from services.staff.people import audit_log
from services.staff.people.command_line import invite_by_command, verify_audit
from services.staff.people.tables import api_tokens, audit, invitations
from shared.shell.http.problems import ProblemResponse
from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import PASSWORD, TOKEN, Browser, Staff, staff_api, staff_engine

NEW_PASSWORD = "another long password"


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    async with staff_engine(new_database) as engine:
        yield engine


@pytest_asyncio.fixture
async def staff(engine: AsyncEngine) -> AsyncIterator[Staff]:
    async with staff_api(engine) as staff:
        yield staff
    assert (await audit_log.verify(engine)).problems == []


async def invited(by: Browser, email: str, role: str, *stores: str) -> str:
    """The token of the link."""
    link = await by.json("POST", "/invitations", {"email": email, "role": role, "stores": stores}, 201)
    assert email not in link["link"] and "@" not in link["link"]
    place, _, token = link["link"].partition("#")
    assert place == "https://staff.example/join"
    return str(token)


async def kinds(staff: Staff) -> list[tuple[str, str]]:
    async with staff.engine.connect() as connection:
        rows = await connection.execute(sa.select(audit.c.actor, audit.c.kind).order_by(audit.c.number))
        return [(row.actor, row.kind) for row in rows]


async def test_the_first_admin_is_invited_joins_and_invites_others(staff: Staff) -> None:
    token = await invited(staff.browser(TOKEN), "Root@Example.com", "admin", "*")
    joined = {"token": token, "name": "Root", "password": PASSWORD}
    view = await staff.browser().json("POST", "/invitations/accept", joined, 201)
    assert (view["email"], view["roles"]) == ("root@example.com", [{"role": "admin", "store": "*"}])
    await staff.browser().json("POST", "/invitations/accept", joined, 410)

    root = staff.browser()
    await root.sign_in("root@example.com")
    token = await invited(root, "agent@example.com", "agent", "northwind")
    listed = await root.json("GET", "/invitations")
    assert [one["email"] for one in listed["invitations"]] == ["agent@example.com"]
    await root.json("DELETE", f"/invitations/{listed['invitations'][0]['id']}", status=204)
    await staff.browser().json("POST", "/invitations/accept", joined | {"token": token}, 410)
    assert [kind for _, kind in await kinds(staff)] == [
        "user.invited", "invitation.accepted", "session.began", "user.invited", "invitation.withdrawn",
    ]  # fmt: skip


async def test_an_invitation_ends_and_is_kept_as_a_digest(staff: Staff) -> None:
    token = await invited(staff.browser(TOKEN), "a@example.com", "viewer", "*")
    async with staff.engine.connect() as connection:
        assert token not in repr((await connection.execute(sa.select(invitations))).all())
    staff.clock.forward(days=7, seconds=1)
    accepted = {"token": token, "name": "A", "password": PASSWORD}
    await staff.browser().json("POST", "/invitations/accept", accepted, 410)


async def test_an_invitation_gives_no_more_than_its_maker_still_may(staff: Staff) -> None:
    maker = await staff.signed_in("anna", ("manager", "a"))
    token = await invited(maker, "b@example.com", "agent", "a")
    root = await staff.signed_in("root", ("admin", "*"))
    given = {"roles": [{"role": "viewer", "store": "a"}]}
    await root.json("PUT", "/users/id-anna/roles", given)
    accepted = {"token": token, "name": "B", "password": PASSWORD}
    await staff.browser().json("POST", "/invitations/accept", accepted, 410)


@pytest.mark.parametrize(
    ("role", "store", "status"),
    [("agent", "a", 201), ("manager", "a", 201), ("admin", "a", 403), ("agent", "b", 403), ("agent", "*", 403)],
)
async def test_no_one_gives_a_right_that_they_lack(staff: Staff, role: str, store: str, status: int) -> None:
    anna = await staff.signed_in("anna", ("manager", "a"), ("viewer", "*"))
    body = {"email": "new@example.com", "role": role, "stores": [store]}
    assert (await anna.ask("POST", "/invitations", body)).status == status


async def test_no_one_changes_a_user_who_may_do_more_nor_themselves(staff: Staff) -> None:
    boss = await staff.signed_in("boss", ("admin", "a"))
    await staff.user("root", ("admin", "*"), ("viewer", "a"))
    await staff.user("agent", ("agent", "a"))
    await staff.user("foreign", ("viewer", "b"))
    for method, path, body in (
        ("POST", "disable", None), ("POST", "reset", None), ("DELETE", "sessions", None),
        ("DELETE", "second-factor", None), ("PUT", "roles", {"roles": []}),
    ):  # fmt: skip
        assert (await boss.ask(method, f"/users/id-root/{path}", body)).status == 403, path
        assert (await boss.ask(method, f"/users/id-foreign/{path}", body)).status == 404, path
        assert (await boss.ask(method, f"/users/id-boss/{path}", body)).status == 409, path
    listed = await boss.json("GET", "/users")
    assert {user["id"] for user in listed["users"]} == {"id-boss", "id-root", "id-agent"}
    raised = {"roles": [{"role": "admin", "store": "*"}]}
    assert (await boss.ask("PUT", "/users/id-agent/roles", raised)).status == 403
    kept = {"roles": [{"role": "manager", "store": "a"}]}
    assert (await boss.json("PUT", "/users/id-agent/roles", kept))["roles"] == kept["roles"]


async def test_a_permission_to_give_roles_counts_where_it_is_held(staff: Staff) -> None:
    root = await staff.signed_in("root", ("admin", "*"))
    await root.json("PUT", "/roles/managing", {"permissions": ["user.manage", "user.read"]})
    boss = await staff.signed_in("boss", ("managing", "a"), ("manager", "a"), ("agent", "b"))
    for store, status in (("b", 403), ("a", 201)):
        body = {"email": f"{store}@example.com", "role": "agent", "stores": [store]}
        assert (await boss.ask("POST", "/invitations", body)).status == status
    await staff.user("both", ("viewer", "a"), ("viewer", "b"))
    for method, path in (("POST", "disable"), ("POST", "reset"), ("DELETE", "sessions"), ("DELETE", "second-factor")):
        assert (await boss.ask(method, f"/users/id-both/{path}")).status == 403, (
            "not all that they may do is in store a"
        )
    await staff.user("here", ("viewer", "a"))
    for store, status in (("b", 403), ("a", 200)):
        roles = {"roles": [{"role": "agent", "store": store}]}
        assert (await boss.ask("PUT", "/users/id-here/roles", roles)).status == status


async def test_an_invitation_by_who_may_no_longer_invite_there_gives_nothing(staff: Staff) -> None:
    root, anna = await staff.signed_in("root", ("admin", "*")), await staff.signed_in("anna", ("manager", "a"))
    body = {"email": "new@example.com", "role": "agent", "stores": ["a"]}
    token = (await anna.json("POST", "/invitations", body, 201))["link"].partition("#")[2]
    await root.json("PUT", "/users/id-anna/roles", {"roles": [{"role": "agent", "store": "a"}]})
    accepted = {"token": token, "name": "New", "password": NEW_PASSWORD}
    await staff.browser().json("POST", "/invitations/accept", accepted, 410)


async def test_a_user_who_is_disabled_is_out_at_once(staff: Staff) -> None:
    root = await staff.signed_in("root", ("admin", "*"))
    anna = await staff.signed_in("anna", ("agent", "*"))
    made = await anna.json("POST", "/tokens", {"name": "x", "permissions": ["order.read"], "stores": ["*"]}, 201)
    program = staff.browser(made["token"])
    assert (await program.ask("GET", "/session")).status == 200
    await root.json("POST", "/users/id-anna/disable")
    assert (await anna.ask("GET", "/session")).status == 401
    assert (await program.ask("GET", "/session")).status == 401
    await staff.browser().sign_in("anna@example.com", status=401)
    await root.json("POST", "/users/id-anna/enable")
    await staff.browser().sign_in("anna@example.com")
    assert (await anna.ask("GET", "/session")).status == 401, "its sessions are gone"
    assert (await program.ask("GET", "/session")).status == 401, "and its tokens"


async def test_a_new_password_is_chosen_by_a_link_and_ends_all_sessions(staff: Staff) -> None:
    root, anna = await staff.signed_in("root", ("admin", "*")), await staff.signed_in("anna", ("agent", "*"))
    made = await anna.json("POST", "/tokens", {"name": "x", "permissions": ["order.read"], "stores": ["*"]}, 201)
    token = (await root.json("POST", "/users/id-anna/reset", status=201))["link"].partition("#")[2]
    chosen = {"token": token, "name": "Anna B.", "password": NEW_PASSWORD}
    view = await staff.browser().json("POST", "/invitations/accept", chosen, 201)
    assert view["roles"] == [{"role": "agent", "store": "*"}]
    assert (await anna.ask("GET", "/session")).status == 401
    assert (await staff.browser(made["token"]).ask("GET", "/session")).status == 401
    await anna.sign_in("anna@example.com", status=401)
    await anna.sign_in("anna@example.com", NEW_PASSWORD)


async def test_a_user_changes_their_password_and_ends_their_sessions(staff: Staff) -> None:
    anna = await staff.signed_in("anna")
    other = staff.browser()
    await other.sign_in("anna@example.com")
    listed = (await anna.json("GET", "/sessions"))["sessions"]
    assert [one["current"] for one in listed].count(True) == 1 and listed[0]["agent"] == "Browser 1.0"
    await anna.json("DELETE", f"/sessions/{next(one['id'] for one in listed if not one['current'])}", status=204)
    assert (await other.ask("GET", "/session")).status == 401
    await other.sign_in("anna@example.com")
    await anna.json("POST", "/session/password", {"old": "wrong", "new": NEW_PASSWORD}, 401)
    await anna.json("POST", "/session/password", {"old": PASSWORD, "new": "short"}, 400)
    await anna.json("POST", "/session/password", {"old": PASSWORD, "new": NEW_PASSWORD}, 204)
    assert (await anna.ask("GET", "/session")).status == 200
    assert (await other.ask("GET", "/session")).status == 401
    eve = await staff.signed_in("eve")
    mine = (await anna.json("GET", "/sessions"))["sessions"][0]["id"]
    assert (await eve.ask("DELETE", f"/sessions/{mine}")).status == 404


async def test_a_token_is_shown_once_permits_less_than_its_user_and_ends(staff: Staff) -> None:
    anna = await staff.signed_in("anna", ("manager", "a"), ("viewer", "*"))
    asked = {"name": "import", "permissions": ["user.read", "order.read"], "stores": ["a"], "days": 30}
    made = await anna.json("POST", "/tokens", asked, 201)
    async with staff.engine.connect() as connection:
        assert made["token"] not in repr((await connection.execute(sa.select(api_tokens))).all())
    assert "token" not in (await anna.json("GET", "/tokens"))["tokens"][0]
    program = staff.browser(made["token"])
    assert (await program.json("GET", "/session"))["actor"] == "user:id-anna"
    assert (await program.ask("GET", "/users")).status == 200
    assert (await program.ask("GET", "/invitations")).status == 403
    for path, body in (("/tokens", asked), ("/session/password", {"old": "x", "new": NEW_PASSWORD})):
        assert (await program.ask("POST", path, body)).status == 403, "only a user who has signed in"
    for more in ({"permissions": ["user.manage"]}, {"stores": ["b"]}, {"stores": ["*"]}, {"permissions": ["*"]}):
        assert (await anna.ask("POST", "/tokens", asked | more)).status == 403, more
    staff.clock.forward(days=6)
    await anna.sign_in("anna@example.com")
    assert (await program.ask("GET", "/users")).status == 200
    await anna.json("DELETE", f"/tokens/{made['about']['id']}", status=204)
    assert (await program.ask("GET", "/users")).status == 401


async def test_a_token_ends_by_itself(staff: Staff) -> None:
    anna = await staff.signed_in("anna", ("viewer", "*"))
    asked = {"name": "import", "permissions": ["order.read"], "stores": ["*"], "days": 1}
    program = staff.browser((await anna.json("POST", "/tokens", asked, 201))["token"])
    staff.clock.forward(days=1, seconds=1)
    assert (await program.ask("GET", "/session")).status == 401


async def test_roles_are_made_changed_and_removed(staff: Staff) -> None:
    root = await staff.signed_in("root", ("admin", "*"))
    await staff.user("anna", ("stock-keeper", "a"))
    role = {"permissions": ["stock.*", "user.read"], "second_factor": False}
    assert (await root.json("PUT", "/roles/stock-keeper", role))["permissions"] == role["permissions"]
    anna = staff.browser()
    await anna.sign_in("anna@example.com")
    assert (await anna.ask("GET", "/users")).status == 200
    await root.json("PUT", "/roles/stock-keeper", {"permissions": ["stock.*"]})
    assert (await anna.ask("GET", "/users")).status == 403
    await root.json("DELETE", "/roles/stock-keeper", status=409)
    await root.json("PUT", "/users/id-anna/roles", {"roles": []})
    await root.json("DELETE", "/roles/stock-keeper", status=204)
    await root.json("DELETE", "/roles/stock-keeper", status=404)
    await root.json("DELETE", "/roles/admin", status=409)
    await root.json("PUT", "/roles/admin", {"permissions": ["order.read"]}, 409)
    await root.json("PUT", "/roles/own", {"permissions": ["no.such"]}, 400)
    await root.json("PUT", "/roles/own", {}, 400)


async def test_who_manages_roles_makes_none_that_permits_more(staff: Staff) -> None:
    root = await staff.signed_in("root", ("admin", "*"))
    await root.json("PUT", "/roles/keeper", {"permissions": ["role.manage", "stock.*"]})
    await staff.user("anna", ("keeper", "*"))
    anna = staff.browser()
    await anna.sign_in("anna@example.com")
    await anna.json("PUT", "/roles/stock", {"permissions": ["stock.read"]})
    for name, permissions in (("more", ["stock.read", "order.read"]), ("all", ["*"]), ("admin", None)):
        body = {"permissions": permissions, "second_factor": False}
        assert (await anna.ask("PUT", f"/roles/{name}", body)).status == 403, name


def code(staff: Staff, key: str, later: int = 0) -> str:
    return code_at(base64.b32decode(key), int(staff.clock().timestamp()) // 30 + later)


async def enrolled(staff: Staff, browser: Browser) -> str:
    key = str((await browser.json("POST", "/session/totp", status=201))["key"])
    await browser.json("POST", "/session/totp/confirm", {"code": code(staff, key)}, 204)
    staff.clock.forward(seconds=30)
    return key


async def test_a_role_asks_for_a_second_factor(staff: Staff) -> None:
    root = await staff.signed_in("root", ("admin", "*"), ("viewer", "*"))
    await root.json("PUT", "/roles/admin", {"second_factor": True})
    shown = await root.json("GET", "/session")
    assert shown["second_factor"] == "to_set_up" and len(shown["rights"]) == 1
    assert (await root.ask("GET", "/users")).status == 403
    key = await enrolled(staff, root)
    assert (await root.json("GET", "/session"))["second_factor"] == "passed"
    assert (await root.ask("GET", "/users")).status == 200

    later = staff.browser()
    began = await later.sign_in("root@example.com")
    assert (began["second_factor"], began["rights"]) == ("needed", []), "who has one may do nothing without it"
    assert (await later.ask("GET", "/users")).status == 403
    await later.json("POST", "/session/totp", status=409)
    await later.json("POST", "/session/second-factor", {"code": "000000"}, 401)
    given = code(staff, key)
    await later.json("POST", "/session/second-factor", {"code": given}, 204)
    assert (await later.ask("GET", "/users")).status == 200

    again = staff.browser()
    await again.sign_in("root@example.com", code=given, status=401)
    staff.clock.forward(seconds=30)
    assert (await again.sign_in("root@example.com", code=code(staff, key)))["second_factor"] == "passed"


async def test_guesses_of_codes_are_slowed_whatever_passwords_are_right(staff: Staff) -> None:
    anna = await staff.signed_in("anna")
    await enrolled(staff, anna)
    statuses = []
    for _ in range(12):
        given = {"email": "anna@example.com", "password": PASSWORD, "code": "000000"}
        statuses.append((await staff.browser().ask("POST", "/session", given)).status)
        await staff.browser().ask("POST", "/session", {"email": "anna@example.com", "password": PASSWORD})
    assert statuses.count(401) == 5 and statuses[-1] == 429


async def test_an_admin_removes_a_second_factor_that_is_lost(staff: Staff) -> None:
    root, anna = await staff.signed_in("root", ("admin", "*")), await staff.signed_in("anna", ("agent", "*"))
    await enrolled(staff, anna)
    await root.json("DELETE", "/users/id-anna/second-factor", status=204)
    assert (await anna.ask("GET", "/session")).status == 401
    assert (await anna.sign_in("anna@example.com"))["second_factor"] == "none"


async def test_the_audit_log_is_read_in_pages_and_filtered(staff: Staff) -> None:
    root = await staff.signed_in("root", ("admin", "*"))
    await staff.user("anna", ("agent", "*"))
    for _ in range(3):
        await root.json("POST", "/users/id-anna/disable")
        await root.json("POST", "/users/id-anna/enable")
    seen: list[int] = []
    path = "/audit?limit=3"
    page: dict[str, Any] = {"next": 0}
    while page["next"] is not None:
        page = await root.json("GET", path + (f"&before={page['next']}" if seen else ""))
        seen += [entry["number"] for entry in page["entries"]]
    assert seen == list(range(7, 0, -1))
    found = await root.json("GET", "/audit?kind=user.disabled&actor=user:id-root")
    assert [entry["subject"] for entry in found["entries"]] == ["id-anna"] * 3
    assert (await root.json("GET", "/audit?since=2030-01-01T00:00:00Z"))["entries"] == []
    assert len((await root.json("GET", "/audit?until=2030-01-01T00:00:00Z"))["entries"]) == 7
    manager = await staff.signed_in("m", ("admin", "a"))
    assert (await manager.ask("GET", "/audit")).status == 403, "it is about all stores"


async def test_the_command_line_invites_and_checks_the_log(staff: Staff) -> None:
    url = "https://staff.example"
    link = await invite_by_command(staff.engine, "Root@example.com", "admin", public_url=url)
    joined = {"token": link.link.partition("#")[2], "name": "Root", "password": PASSWORD}
    await staff.browser().json("POST", "/invitations/accept", joined, 201)
    root = staff.browser()
    await root.sign_in("root@example.com")

    again = await invite_by_command(staff.engine, "root@example.com", "viewer", ["a"], public_url=url)
    joined = {"token": again.link.partition("#")[2], "name": "Root", "password": NEW_PASSWORD}
    view = await staff.browser().json("POST", "/invitations/accept", joined, 201)
    assert view["roles"] == [{"role": "admin", "store": "*"}, {"role": "viewer", "store": "a"}]

    last = await audit_log.verify(staff.engine)
    noted = f"{last.entries}:{last.last}"
    assert await verify_audit(staff.engine, noted) == []
    assert await verify_audit(staff.engine, f"{last.entries}:{'0' * 64}") == [
        f"Entry {last.entries} is not the one that was noted."
    ]
    with pytest.raises(ProblemResponse, match="unknown"):
        await invite_by_command(staff.engine, "x@example.com", "emperor", public_url=url)
