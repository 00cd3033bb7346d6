"""What the command line says when a command goes wrong: in its own words, with the setting or the option to change."""

from __future__ import annotations

import pytest

from deploy.cli.console import counted
from shared.settings import PREFIX
from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply, problem

REFUND = "POST /orders/o-1/refund"


def test_a_wrong_token_names_its_setting(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("checkout", "GET /orders", problem(401, "unauthorized", "A valid bearer token is required."))
    said = orderbus("orders")
    assert said.err == (
        "checkout: A valid bearer token is required. Set ORDERBUS_API_TOKEN to that of an API client.\n"
    )


def test_what_is_no_answer_of_orderbus(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("checkout", "GET /orders", Reply("<html>", 404))
    url = services.environment[f"{PREFIX}CHECKOUT__INTERNAL_URL"]
    assert orderbus("orders").err == (
        f"checkout at {url} answered 404 Not Found, not as orderbus does: is this its address?\n"
    )


def test_a_problem_of_the_whole_body_has_no_field(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    wrong = {"code": "bad_request", "title": "The command is invalid.", "status": 400}
    nul = {"field": "", "code": "nul", "text": "the body contains a NUL character"}
    amount = {"field": "amount", "code": "x", "text": "is too much"}
    services.reply("payments", REFUND, Reply(wrong | {"problems": [nul, amount]}, 400))
    assert orderbus("refund", order).err.splitlines() == [
        "payments: The command is invalid. (bad_request)",
        "  the body contains a NUL character",
        "  amount: is too much",
    ]


@pytest.mark.parametrize("url", ["payments.example:8080", "payments.example", "ftp://payments.example"])
def test_a_url_without_scheme_is_named(
    url: str, services: FakeServices, orderbus: Orderbus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}PAYMENTS__INTERNAL_URL", url)
    said = orderbus("refund", "ORD-1")
    assert said.code == 2
    assert said.err.startswith("ORDERBUS_PAYMENTS__INTERNAL_URL: must be of the form https://host:port/path\n")
    assert "running" not in said.err


def test_an_address_that_is_not_set_is_no_address(
    services: FakeServices, orderbus: Orderbus, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"{PREFIX}PAYMENTS__INTERNAL_URL")
    said = orderbus("refund", order)
    assert (said.code, said.err) == (
        2,
        "The address of payments is not set: set ORDERBUS_PAYMENTS__INTERNAL_URL.\n",
    )


def test_a_slash_at_the_end_of_a_url_is_none_of_the_path(
    services: FakeServices, orderbus: Orderbus, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = services.environment[f"{PREFIX}CHECKOUT__INTERNAL_URL"]
    monkeypatch.setenv(f"{PREFIX}CHECKOUT__INTERNAL_URL", f"{url}/")
    services.reply("payments", REFUND, Reply({"accepted": True}, 202))
    assert orderbus("refund", order).code in (0, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("refund ORD-1 --reason foo", "Invalid value for '--reason'"),
        ("refund ORD-1 --amount 5.00 --item 1", "Choose --amount or --item, not both"),
        ("settle payment ORD-1 captured --reason x", "--reference"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_asked(
    words: str, said: str, services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    shown = orderbus(*words.split())
    assert (shown.code, said in shown.err) == (64, True)
    assert services.received == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("stock receive northwind atlas abc", "Invalid value for 'UNITS': must be a whole number\n"),
        ("completion nosh", "Invalid value for 'SHELL': 'nosh' is not one of 'bash', 'zsh', 'fish'\n"),
    ],
)
def test_a_wrong_argument_is_told_in_words_of_our_own(words: str, said: str, orderbus: Orderbus) -> None:
    shown = orderbus(*words.split())
    assert (shown.code, shown.err.endswith(f"Error: {said}")) == (64, True)


def test_an_argument_that_is_no_utf_8_is_refused(services: FakeServices, orderbus: Orderbus) -> None:
    assert orderbus("feed", "a\udcff").code == 64
    assert services.received == []


def test_the_reason_and_the_note_of_a_refund(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("payments", REFUND, Reply({"accepted": True}, 202))
    orderbus("refund", order, "--reason", "duplicate", "--note", "Paid twice.")
    assert services.sent()[0].body == {"reason": "duplicate", "note": "Paid twice."}


def test_what_doctor_notes_is_counted(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("payments", "GET /ready", Reply({"ready": True, "missing": [], "progress": {}, "notes": []}))
    services.reply("payments", "GET /parked", Reply({"parked": []}))
    services.reply("payments", "GET /destinations", Reply({"paused": [], "no_answer": []}))
    services.reply("payments", "GET /metrics", Reply(text="orderbus_parked 1.0\norderbus_timers_late 2.0\n"))
    assert "1 message parked, 2 timers late" in orderbus("doctor").out


@pytest.mark.parametrize(("number", "text"), [(0, "0 entries"), (1, "1 entry"), (2, "2 entries")])
def test_singular_and_plural(number: int, text: str) -> None:
    assert counted(number, "entry", "entries") == text
