"""Text that customers and other systems write: refused when it is submitted, or harmless where it is shown."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from services.notifications.domain import CORES
from services.notifications.domain.email_draft import TEMPLATES
from services.notifications.gateways.templates import EmailTemplates
from shared.contracts.checkout import OrderCancelled, OrderPlaced
from shared.contracts.envelope import BadBody, decode
from shared.contracts.examples import OWNERS
from shared.contracts.notifications import ResendLostMails
from shared.contracts.storefront import CheckoutAbandoned, CheckoutSubmitted
from shared.contracts.text import greeted, without_links
from shared.contracts.values import Customer, Email, FreeText, Line
from shared.core import Command, Event
from tests.unit.notifications.examples import OrderScenario, placed

EXAMPLES = [example for owner in OWNERS for example in owner.EXAMPLES]
SUBMITTED: dict[str, Any] = next(
    example.model_dump(mode="json", exclude_none=True) for example in EXAMPLES if isinstance(example, CheckoutSubmitted)
)
SPAM = "Pay 1.99 at https://evil.example/x or www.evil.example. mailto:a@evil.example Your bank"
LINK = re.compile(r"\w:[^\s]|(?<=\S)[.。﹒](?=[^\W\d_]{2})", re.IGNORECASE)


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com",
        "a.b+c@mail.example.co.uk",
        "o'neil@example.com",
        "ädä@bücher.example",
        "用户@例子.公司",
        "a@भारत.भारत",
        "a@ไทย.example",
        "a@b",
        "!#$%&'*+-/=?^_`{|}~@example.com",
    ],
)
def test_an_email_address(address: str) -> None:
    assert TypeAdapter(Email).validate_python(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "a\u200bda@example.com",
        "ada@exam\u200bple.com",
        "ada@example.com\u2060",
        "a\u00adda@example.com",
        "a\x00da@example.com",
        "a\x1fda@example.com",
        "a\u202eda@example.com",
        ".ada@example.com",
        "ada.@example.com",
        "a..da@example.com",
        "ada@.example.com",
        "ada@example.com.",
        "ada@example..com",
        "ada@-example.com",
        "ada@exa mple.com",
        '"ada"@example.com',
        "ada(x)@example.com",
        "ada@[127.0.0.1]",
        "ada\\@example.com",
        "ada:x@example.com",
        f"{'a' * 65}@example.com",
        f"a@{'b' * 64}.example",
        f"a@{'ü' * 60}.example",
        f"{'a' * 64}@{'b' * 60}.{'b' * 60}.{'b' * 60}.example",
        "a@⒈.example",
        "a@①②⑦.0.0.1",
        "a@１.example",
        "@example.com",
        "ada@",
    ],
)
def test_what_is_no_email_address(address: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Email).validate_python(address)


@pytest.mark.parametrize("name", ["Ada Lovelace", "Jürgen Müller-Lüdenscheidt", "می‌خواهم", "李小龍", "O'Neil, Jr.", ""])
def test_a_name(name: str) -> None:
    assert TypeAdapter(Line).validate_python(name) == name


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\t", "\x00", "\x1b", "\x7f", "\x85", "\x9f", "\u2028", "\u2029", "\u202e"]
)
def test_a_control_character_makes_no_name(character: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Line).validate_python(f"Ada{character}Lovelace")
    if character not in "\n\r\t" or character == "\r":
        with pytest.raises(ValidationError):
            TypeAdapter(FreeText).validate_python(f"Ada{character}Lovelace")


def test_free_text_may_have_several_lines() -> None:
    assert TypeAdapter(FreeText).validate_python("For Charles\r\n\tand Ada\n")


@pytest.mark.parametrize("text", ["a\x00", "a\nb\x07", "a\u202eb", "\r"])
def test_what_is_wrong_with_free_text_is_not_its_lines(text: str) -> None:
    with pytest.raises(ValidationError, match="other than line breaks and tabs"):
        TypeAdapter(FreeText).validate_python(text)


def places(value: Any, *above: str | int) -> list[tuple[str | int, ...]]:
    """Of every text in a JSON body."""
    if isinstance(value, dict):
        return [found for name, part in value.items() for found in places(part, *above, name)]
    if isinstance(value, list):
        return [found for number, part in enumerate(value) for found in places(part, *above, number)]
    return [above] if isinstance(value, str) else []


def with_text(place: tuple[str | int, ...], text: str) -> bytes:
    body = orjson.loads(orjson.dumps(SUBMITTED))
    part = body
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = text
    return json.dumps(body).encode()


@pytest.mark.parametrize("place", places(SUBMITTED), ids=lambda place: ".".join(map(str, place)))
def test_no_text_of_a_checkout_has_control_characters(place: tuple[str | int, ...]) -> None:
    for text in ("a\x00b", "a\x1bb", "a\x85b", "a\u2029b", "a\u202eb"):
        with pytest.raises(BadBody):
            decode(CheckoutSubmitted, with_text(place, text))
    may_have_lines = "custom_fields" in place or (place[0], place[-1]) == ("billing_fields", "value")
    if not may_have_lines:
        with pytest.raises(BadBody):
            decode(CheckoutSubmitted, with_text(place, "a\n\nb"))


def test_a_reason_of_the_customer_is_one_line() -> None:
    with pytest.raises(BadBody):
        decode(CheckoutAbandoned, b'{"reason": "a\\n\\nb"}')


@pytest.mark.parametrize("moment", ["2026-03-03T14:05:00", "2026-03-03", "1772546700", "0001-01-01T00:00:00+23:59"])
def test_times_carry_an_offset(moment: str) -> None:
    with pytest.raises(BadBody):
        decode(CheckoutSubmitted, json.dumps(SUBMITTED | {"terms_accepted_at": moment}).encode())
    with pytest.raises(BadBody):
        decode(ResendLostMails, json.dumps({"since": moment}).encode())
    assert decode(ResendLostMails, b'{"since": "2026-03-03T14:05:00+01:00"}')


@pytest.mark.parametrize("kind", {type(example) for example in EXAMPLES}, ids=lambda kind: kind.type)
def test_no_message_has_a_time_without_an_offset(kind: type[BaseModel]) -> None:
    for example in (each for each in EXAMPLES if type(each) is kind):
        text = example.model_dump_json(exclude_none=True)
        naive = re.sub(r'(\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?)(Z|[+-]\d\d:\d\d)"', r'\1"', text)
        if naive != text:
            with pytest.raises(BadBody):
                decode(kind, naive.encode())  # type: ignore[arg-type]


# Where it is shown


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("J.R.R. Tolkien", "J.R.R. Tolkien"),
        ("Siobhán O’Neil-Smith, Jr.", "Siobhán O’Neil-Smith, Jr."),
        ("李小龍", "李小龍"),
        ("", ""),
        ("   ", ""),
        (SPAM, ""),
        ("evil.example", ""),
        ("Call 0900 123", ""),
        ("x" * 41, ""),
        ("Your account was hacked, write to secure-bank at gmail", ""),
        ("cafe\u0301.com", ""),
        ("evil.भारत", ""),
        ("Your bank: pay now", ""),
    ],
)
def test_a_greeting_has_only_what_looks_like_a_name(name: str, greeting: str) -> None:
    assert greeted(name) == greeting


@given(st.text() | st.text("htps:/.exampl。w@1 "))
def test_what_is_without_links_stays_so(text: str) -> None:
    shown = without_links(text)
    assert not LINK.search(shown)
    assert without_links(shown) == shown
    assert shown.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://evil.example/x", "https: //evil. example/x"),
        ("www.evil.example", "www. evil. example"),
        ("http://1.2.3.4/x", "http: //1. 2. 3.4/x"),
        ("a@evil.example", "a@evil. example"),
        (
            "cafe\u0301.com 💩.ws i❤.ws evil\u200b.com evil\u00ad.com",
            "cafe\u0301. com 💩. ws i❤. ws evil\u200b. com evil\u00ad. com",
        ),
        ("evil-.com evil\ufe0e.com e\u20e3.ws", "evil-. com evil\ufe0e. com e\u20e3. ws"),
        ("//evil.भारत/x", "//evil. भारत/x"),
        ("J.R.R. Tolkien costs 12.50", "J.R.R. Tolkien costs 12.50"),
    ],
)
def test_links_are_shown_as_text(text: str, shown: str) -> None:
    assert without_links(text) == shown


def spam_order() -> OrderScenario:
    """An order whose customer wrote spam wherever they could."""
    order = OrderScenario()
    customer = Customer(name=SPAM, email="victim@example.com", phone=SPAM)
    whole = next(example for example in EXAMPLES if type(example).__name__ == "OrderPlaced")
    body = whole.model_dump(mode="json", exclude_none=True)
    for address in (body["billing"], body["shipping"]):
        address.update(dict.fromkeys(("name", "line1", "city", "line2", "region", "phone", "postal_code"), SPAM))
    for item in body["items"]:
        item["custom_fields"] = {SPAM: SPAM}
    for discount in body["discounts"]:
        discount["code"] = SPAM
    for tax in body["taxes"]:
        tax["name"] = SPAM
    read = decode(type(whole), orjson.dumps(body))
    order.hear(
        placed(
            **{name: getattr(read, name) for name in ("billing", "shipping", "items", "discounts", "taxes")},
            customer=customer,
        )
    )
    return order


def test_no_text_of_a_customer_is_a_link_in_an_email_nor_begins_one() -> None:
    logs, *_ = CORES
    handled = [kind for kind in logs.handlers if isinstance(kind, type) and issubclass(kind, Event)]
    templates, rendered = EmailTemplates(), set()
    for example in EXAMPLES:
        if type(example) not in handled or type(example).__name__ == "OrderPlaced":
            continue
        written = {"reason": SPAM, "code": "cancelled"} if isinstance(example, OrderCancelled) else {}
        order = spam_order()
        order.hear(example.model_copy(update=written))
        for email in order.emails:
            rendered.add(email.template)
            message = templates.render(email).decode()
            assert "evil.example" not in message.replace("=\r\n", ""), message
            assert "https://evil" not in message
            text, html = message.split("\r\n\r\n", 2)[2], re.search("<p>(.*?)</p>", message, re.DOTALL)
            assert html and SPAM[:8] not in text[:20] + html[1][:20]
    assert rendered >= {name for names in TEMPLATES.values() for name in names} - {"shipment", "delivery"}


def test_what_a_customer_writes_is_in_no_email_to_an_address_that_they_chose() -> None:
    logs, *_ = CORES
    templates = EmailTemplates()
    for example in EXAMPLES:
        if not isinstance(example, Event) or type(example) not in logs.handlers or isinstance(example, OrderPlaced):
            continue
        written = {"reason": SPAM, "code": "abandoned"} if isinstance(example, OrderCancelled) else {}
        order = spam_order()
        order.hear(example.model_copy(update=written))
        for email in (each for each in order.emails if each.audience == "customer"):
            assert "Pay 1.99" not in templates.render(email).decode().replace("=\r\n", ""), email.template


def test_commands_are_still_those_of_the_examples() -> None:
    for example in EXAMPLES:
        if isinstance(example, Command):
            assert decode(type(example), example.model_dump_json(exclude_none=True).encode()) == example
