"""API clients: how they are set, and how they are known by their tokens."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.settings import load_process_settings
from services.notifications.domain.feed import customer_recipient, is_customer, staff_recipient
from services.notifications.domain.notification_log import Customer
from services.notifications.gateways.feed_tokens import FeedTokens
from shared.settings import PREFIX, Settings, WrongSettings
from shared.shell.http.principals import Principals
from shared.shell.inbound.message import Meta

NEEDED = {"KAFKA__BOOTSTRAP_SERVERS": "kafka:9092", "CHECKOUT__DATABASE_URL": "postgresql://a@b/c"}


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


BACKOFFICE = {
    "name": "backoffice",
    "token_sha256": [digest("old-token"), digest("new-token")],
    "stores": ["northwind"],
    "permissions": ["*.read", "order.cancel"],
}


@pytest.fixture(autouse=True)
def needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_TOKEN", "API_CLIENTS", "CONFIG"):
        monkeypatch.delenv(PREFIX + name, raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(PREFIX + name, value)


def loaded(monkeypatch: pytest.MonkeyPatch, clients: object, token: str = "") -> Settings:
    monkeypatch.setenv(f"{PREFIX}API_CLIENTS", clients if isinstance(clients, str) else json.dumps(clients))
    if token:
        monkeypatch.setenv(f"{PREFIX}API_TOKEN", token)
    return load_process_settings("checkout")


def test_a_client_is_known_by_either_of_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    principals = Principals.of(loaded(monkeypatch, [BACKOFFICE], "a-token-for-everything"))
    old, new = principals.find("Bearer old-token"), principals.find("bearer new-token")
    assert old is not None and old == new and (old.name, old.stores) == ("backoffice", frozenset({"northwind"}))
    assert [old.may(one) for one in ("order.read", "order.cancel", "order.complete", "payment.refund")] == [
        *(True, True, False, False)
    ]
    staff = principals.find("Bearer a-token-for-everything")
    assert staff is not None and (staff.name, staff.stores, staff.may("anything")) == ("staff", None, True)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic old-token", "Bearer old-toke", "Bearer old-token ", "old-token", "Bearer \udcff"],
)
def test_no_other_header_is_anyone(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    assert Principals.of(loaded(monkeypatch, [BACKOFFICE])).find(header) is None


def test_without_clients_there_is_no_principal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Principals.of(load_process_settings("checkout")).find("Bearer x") is None


def test_clients_come_from_the_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "orderbus.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in BACKOFFICE.items()]
    file.write_text("\n".join(["[[api_clients]]", *lines]))
    monkeypatch.setenv(f"{PREFIX}CONFIG", str(file))
    assert Principals.of(load_process_settings("checkout")).find("Bearer new-token")


@pytest.mark.parametrize(
    ("clients", "hint"),
    [
        ("{", "is not JSON"),
        ([BACKOFFICE | {"name": "customer"}], "another actor"),
        ([BACKOFFICE | {"name": "system"}], "another actor"),
        ([BACKOFFICE | {"name": "provider:stripe"}], "another actor"),
        ([BACKOFFICE | {"name": "user:anna"}], "another actor"),
        *(([BACKOFFICE | {"name": name}], "another actor") for name in ("Staff", "SYSTEM", "Provider:stripe")),
        ([BACKOFFICE | {"stores": ["*", "northwind"]}], "API_CLIENTS__0__STORES: * is all stores"),
        ([BACKOFFICE | {"name": "a b"}], "API_CLIENTS__0__NAME"),
        ([BACKOFFICE | {"token_sha256": []}], "API_CLIENTS__0__TOKEN_SHA256"),
        ([BACKOFFICE | {"token_sha256": ["old-token"]}], "API_CLIENTS__0__TOKEN_SHA256"),
        ([BACKOFFICE | {"token_sha256": [digest(t) for t in "abc"]}], "API_CLIENTS__0__TOKEN_SHA256"),
        ([BACKOFFICE | {"stores": []}], "API_CLIENTS__0__STORES"),
        ([BACKOFFICE | {"permissions": []}], "API_CLIENTS__0__PERMISSIONS"),
        ([BACKOFFICE | {"premissions": ["*"]}], "API_CLIENTS__0__PREMISSIONS: unknown setting"),
        ([BACKOFFICE | {"name": "staff"}], "API_CLIENTS__0__NAME: is the name of another actor"),
        ([BACKOFFICE | {"permissions": ["*.read", "payment.refnd"]}], "'payment.refnd'; did you mean payment.refund?"),
        ([BACKOFFICE | {"permissions": ["orders.*"]}], "no permission is called 'orders.*'"),
        ([BACKOFFICE | {"permissions": ["kitchen"]}], "docs/security.md lists those that there are"),
        ([BACKOFFICE | {"stores": ["northwind", "north*"]}], "no store can have the id 'north*'"),
        ([BACKOFFICE | {"stores": [""]}], "no store can have the id ''"),
        ([BACKOFFICE | {"stores": ["a/b", "c d"]}], "no store can have the id 'a/b', 'c d'"),
        (
            [BACKOFFICE, BACKOFFICE | {"name": "other"}],
            "API_CLIENTS__1__TOKEN_SHA256: a token is also that of client 0",
        ),
        ([BACKOFFICE, BACKOFFICE | {"token_sha256": [digest("x")]}], "API_CLIENTS__1__NAME: two clients have the same"),
        (
            [BACKOFFICE, {**BACKOFFICE, "name": str(BACKOFFICE["name"]).upper(), "token_sha256": [digest("x")]}],
            "API_CLIENTS__1__NAME: two clients have the same",
        ),
        ([BACKOFFICE | {"token_sha256": [digest("x")] * 2}], "a token is twice in this client"),
        (5, "API_CLIENTS"),
        ([5], "API_CLIENTS__0"),
        ([{}], "API_CLIENTS__0__NAME: is missing"),
    ],
)
def test_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch, clients: object, hint: str) -> None:
    with pytest.raises(WrongSettings) as wrong:
        loaded(monkeypatch, clients)
    assert hint in str(wrong.value) and "ORDERBUS_API_CLIENTS" in str(wrong.value)


def test_a_client_with_the_operators_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongSettings, match="API_CLIENTS__0__TOKEN_SHA256: a token is also that of ORDERBUS_API_TOKEN"):
        loaded(
            monkeypatch, [BACKOFFICE | {"token_sha256": [digest("a-token-for-everything")]}], "a-token-for-everything"
        )


def test_all_problems_are_said_at_once_and_no_token_is(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = BACKOFFICE | {"name": "staff", "stores": ["*x"], "permissions": ["kitchen"], "token_sha256": ["my-token"]}
    with pytest.raises(WrongSettings) as refused:
        loaded(monkeypatch, [BACKOFFICE, wrong, BACKOFFICE], "short")
    said = str(refused.value)
    for place in ("1__NAME", "1__STORES", "1__PERMISSIONS", "1__TOKEN_SHA256", "2__NAME", "2__TOKEN_SHA256"):
        assert f"API_CLIENTS__{place}" in said
    assert "API_TOKEN" in said
    assert "my-token" not in said and digest("old-token") not in said


@pytest.mark.parametrize(
    ("actor", "stays"),
    [
        ("staff", True),
        ("backoffice", True),
        ("customer", False),
        ("system", False),
        ("provider:stripe", False),
        ("user:anna", True),
    ],
)
def test_staff_and_clients_stay_the_actor_of_what_follows(actor: str, stays: bool) -> None:
    assert Meta(actor=actor).stays_actor() is stays


# Customers


NOW = datetime(2026, 3, 3, 14, 5, tzinfo=UTC)


def test_a_feed_token_is_for_one_recipient_until_it_expires() -> None:
    at = NOW
    tokens = FeedTokens("a-secret-of-the-test", lambda: at)
    token = tokens.token("northwind~customer~c-1", NOW + timedelta(hours=1))
    principal = tokens.read(token)
    assert principal is not None
    assert (principal.name, principal.recipient, principal.stores) == (
        "customer",
        "northwind~customer~c-1",
        frozenset(),
    )
    assert [principal.may(one) for one in ("feed.read", "feed.mark", "feed.token")] == [True, True, False]
    at = NOW + timedelta(hours=1)
    assert tokens.read(token) is None


@pytest.mark.parametrize("token", ["", "feed.", "feed..", "feed.e30.x", "feed.é", "feed.e30", "x" * 5000])
def test_what_is_no_feed_token(token: str) -> None:
    assert FeedTokens("a-secret-of-the-test").read(token) is None


def test_only_customers_feeds_have_tokens() -> None:
    assert is_customer(customer_recipient("s", Customer("Ada", "ada@example.com")))
    assert is_customer(customer_recipient("s", Customer("Ada", "ada@example.com", "c-1")))
    assert not is_customer(staff_recipient("s"))
    assert not is_customer("s~staff~customer~")
