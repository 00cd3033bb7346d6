"""PostgreSQL URLs are read strictly: what is misspelt or ambiguous is named, and no password with it."""

from __future__ import annotations

import getpass
import re
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from asyncpg import connect_utils
from asyncpg.connect_utils import SSLMode

from deploy.settings import load_system_settings
from shared.postgres_url import PARAMETERS, VALUES, PostgresUrl
from shared.settings import PREFIX, WrongSettings

ROOT = Path(__file__).parents[2]
GOOD = {
    "postgresql://orderbus@postgres.example/orderbus": ("postgres.example", "orderbus", "", "orderbus"),
    "postgres://u:p@h:5433/d": ("h:5433", "u", "p", "d"),
    "postgresql+asyncpg://u:p@h/d": ("h", "u", "p", "d"),
    "postgresql://us%40er:p%25%2F%3A%3F%23w@h/d%20b": ("h", "us@er", "p%/:?#w", "d b"),
    "postgresql://u:p@[::1]:5432/d": ("[::1]:5432", "u", "p", "d"),
    "postgresql://u:p@a:1,b:2/d?target_session_attrs=primary": ("a:1,b:2", "u", "p", "d"),
    "postgresql:///d?host=/run/postgresql": ("", "", "", "d"),
}
HOSTS = {
    "postgresql://orderbus@postgres.example/orderbus": ["postgres.example"],
    "postgresql://u:p@[::1]:5432/d": ["::1"],
    "postgresql://u:p@a:1,b:2/d?target_session_attrs=primary": ["a", "b"],
    "postgresql:///d?host=/run/postgresql": [],
}


@pytest.mark.parametrize(("url", "parts"), GOOD.items(), ids=GOOD)
def test_its_parts_are_decoded(url: str, parts: tuple[str, str, str, str]) -> None:
    read = PostgresUrl.parse(url)
    assert (read.hosts, read.user, read.password, read.database) == parts


def by_driver(url: str) -> Any:
    """How asyncpg reads a URL."""
    parse = vars(connect_utils)["_parse_connect_dsn_and_args"]
    others = dict.fromkeys(signature(parse).parameters)
    return parse(**others | {"dsn": PostgresUrl.parse(url).driver_url()})


@pytest.mark.parametrize(("url", "parts"), GOOD.items(), ids=GOOD)
def test_the_driver_reads_the_same(url: str, parts: tuple[str, str, str, str]) -> None:
    places, read = by_driver(url)
    _, user, password, database = parts
    assert (read.user, read.password or "", read.database) == (user or getpass.getuser(), password, database)
    assert [str(place[0]) for place in places if isinstance(place, tuple)] == HOSTS.get(url, ["h"])


def test_parameters_reach_the_driver() -> None:
    url = "postgresql://u@h/d?sslmode=verify-full&sslrootcert=/etc/my%20ca.pem"
    assert PostgresUrl.parse(url).parameters == {"sslmode": "verify-full", "sslrootcert": "/etc/my ca.pem"}
    assert PostgresUrl.parse(PostgresUrl.parse(url).driver_url()) == PostgresUrl.parse(url)


BAD = {
    "mysql://u:hidden@h/d": "must be of the form postgresql://",
    "hidden": "must be of the form postgresql://",
    "postgresql://u:hidden@h": "names no database",
    "postgresql://u:hidden@h/": "names no database",
    "postgresql://u:hid@den@h/d": "write @ in user and password as %40",
    "postgresql://u:hid/den@h/d": "write / in user and password as %2F",
    "postgresql://u:hid?den@h/d": "write ? in user and password as %3F",
    "postgresql://u:hid#den@h/d": "write # as %23",
    "postgresql://u:hid%zen@h/d": "write % as %25",
    "postgresql://u:hid%FFden@h/d": "not UTF-8",
    "postgresql://u:hid%00den@h/d": "control characters",
    "postgresql://u:hid den@h/d": "blanks",
    "postgresql://u:hidden@h:port/d": "host and port must be of the form",
    "postgresql://u:hidden@h:0/d": "host and port must be of the form",
    "postgresql://u:hidden@h:99999/d": "host and port must be of the form",
    "postgresql://u:hidden@::1/d": "host and port must be of the form",
    "postgresql://u:hidden@h/d/e": "write / in user, password and database as %2F",
    "postgresql://u:hidden@h/d?sslmod=require": "unknown parameter sslmod: did you mean sslmode?",
    "postgresql://u:hidden@h/d?ssl=true": "unknown parameter ssl",
    "postgresql://u:hidden@h/d?statement_timeout=0": "unknown parameter statement_timeout (there are sslmode,",
    "postgresql://u:hidden@h/d?sslmode=verify_full": "sslmode must be one of disable, allow, prefer,",
    "postgresql://u:hidden@h/d?sslmode=": "the parameter sslmode has no value",
    "postgresql://u:hidden@h/d?sslmode=require&sslmode=disable": "the parameter sslmode is there twice",
    "postgresql://u:hidden@h/d?sslmode=verify-full&sslrootcert=system": "sslrootcert=system is not known",
    "postgresql://u:hidden@h/d?sslrootcert=/ca.pem": "sslrootcert is not used with sslmode=prefer",
    "postgresql://u:hidden@h/d?sslcert=/c.pem": "sslcert and sslkey belong together",
    "postgresql://u:p@h/d?u:hidden@h": "unknown parameter (not shown)",
}


@pytest.mark.parametrize(("url", "said"), BAD.items(), ids=BAD)
def test_what_is_wrong_is_named_without_the_password(url: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv(f"{PREFIX}CHECKOUT__DATABASE_URL", url)
    with pytest.raises(WrongSettings) as wrong:
        load_system_settings(["checkout"])
    line, remedy = str(wrong.value).splitlines()
    assert line.startswith(f"{PREFIX}CHECKOUT__DATABASE_URL: ")
    assert said in line
    assert "hid" not in line + remedy
    assert wrong.value.exit_code == 2


def test_all_its_problems_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"unknown parameter timeout.*; sslmode must be .*; names no database"):
        PostgresUrl.parse("postgresql://h:1?timeout=5&sslmode=full")


def test_a_password_shows_in_no_representation() -> None:
    read = PostgresUrl.parse("postgresql://u:hidden@h:1/d?sslpassword=hidden")
    assert "hidden" not in f"{read!r} {read} {read.place()}"
    assert read.place() == "database d at h:1"


def test_the_driver_takes_no_parameter_for_a_setting_of_the_session() -> None:
    """What asyncpg does not know it sends to the server as a setting: there must be none that it does not know."""
    given = {name: VALUES.get(name, ("1",))[0] for name in PARAMETERS if name != "sslrootcert"}
    _, read = by_driver(f"postgresql://h/d?{urlencode(given)}")
    assert read.server_settings is None
    assert read.sslmode == SSLMode.disable


def test_every_connection_is_made_in_one_place() -> None:
    """By `connect` in `engine.py`, which reads the URL."""
    made = re.compile(r"asyncpg\.connect\(|create_pool\(|async_engine\(|sa\.create_engine\(")
    users = {
        file.relative_to(ROOT).as_posix()
        for folder in ("deploy", "services", "shared")
        for file in (ROOT / folder).rglob("*.py")
        if made.search(file.read_text())
    }
    assert users == {"shared/shell/postgres/engine.py"}
