"""API clients: how they are set, and how they are known by their tokens."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.notifications.domain.feed import customer_recipient, is_customer, staff_recipient
from services.notifications.domain.notification_log import Customer
from services.notifications.gateways.feed_tokens import FeedTokens
from services.registry import settings_of
from shared.settings import PREFIX, Settings, WrongSettings, load_settings
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
    return load_settings(settings_of("checkout"))


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
    assert Principals.of(load_settings(settings_of("checkout"))).find("Bearer x") is None


def test_clients_come_from_the_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "orderbus.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in BACKOFFICE.items()]
    file.write_text("\n".join(["[[api_clients]]", *lines]))
    monkeypatch.setenv(f"{PREFIX}CONFIG", str(file))
    assert Principals.of(load_settings(settings_of("checkout"))).find("Bearer new-token")


@pytest.mark.parametrize(
    ("clients", "hint"),
    [
        ("{", "is not JSON"),
        ([BACKOFFICE | {"name": "customer"}], "another actor"),
        ([BACKOFFICE | {"name": "system"}], "another actor"),
        ([BACKOFFICE | {"name": "provider:stripe"}], "another actor"),
        ([BACKOFFICE | {"name": "a b"}], "API_CLIENTS__0__NAME"),
        ([BACKOFFICE | {"token_sha256": []}], "API_CLIENTS__0__TOKEN_SHA256"),
        ([BACKOFFICE | {"token_sha256": ["old-token"]}], "API_CLIENTS__0__TOKEN_SHA256"),
        ([BACKOFFICE | {"token_sha256": [digest(t) for t in "abc"]}], "API_CLIENTS__0__TOKEN_SHA256"),
        ([BACKOFFICE | {"stores": []}], "API_CLIENTS__0__STORES"),
        ([BACKOFFICE | {"permissions": []}], "API_CLIENTS__0__PERMISSIONS"),
        ([BACKOFFICE | {"premissions": ["*"]}], "API_CLIENTS__0__PREMISSIONS: unknown setting"),
        ([BACKOFFICE, BACKOFFICE | {"name": "other"}], "the same name or token"),
        ([BACKOFFICE, BACKOFFICE | {"token_sha256": [digest("x")]}], "the same name or token"),
    ],
)
def test_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch, clients: object, hint: str) -> None:
    with pytest.raises(WrongSettings) as wrong:
        loaded(monkeypatch, clients)
    assert hint in str(wrong.value) and "ORDERBUS_API_CLIENTS" in str(wrong.value)


@pytest.mark.parametrize(
    ("actor", "stays"),
    [("staff", True), ("backoffice", True), ("customer", False), ("system", False), ("provider:stripe", False)],
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
