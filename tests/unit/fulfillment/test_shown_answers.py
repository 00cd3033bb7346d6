"""No answer that staff see shows a secret of the call, however it writes it."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote

import pytest

from services.fulfillment.gateways.rcon_answers import shortened, without_password
from services.fulfillment.gateways.shown_answers import excerpt

SECRET = "tok+en/ab:c=12 34"
TWICE = quote(quote(SECRET, safe=""), safe="")
WRITINGS = {
    "plain": SECRET,
    "in URLs": quote(SECRET, safe=""),
    "in URLs within URLs": TWICE,
    "in JSON": json.dumps({"a": SECRET}),
    "in JSON within JSON": json.dumps(json.dumps({"a": SECRET})),
    "in HTML": html.escape(html.escape(SECRET)),
    "by numbers of HTML": "".join(f"&#x{ord(char):x};" for char in SECRET),
    "in another case": SECRET.upper(),
    "as Basic": base64.b64encode(f"user:{SECRET}".encode()).decode(),
    "as Base64": base64.b64encode(SECRET.encode()).decode(),
    "as Base64 of URLs, longer": base64.urlsafe_b64encode(f"us:{SECRET}!".encode()).decode(),
    "as hexadecimal": SECRET.encode().hex().upper(),
    "by escapes": "".join(f"\\x{ord(char):02x}" for char in SECRET),
    "by some escapes": SECRET.replace("+", "\\x2b"),
    "by escapes of Unicode": "".join(f"\\u{{{ord(char):06x}}}" for char in SECRET),
    "by octal escapes": SECRET.replace("+", "\\053").replace("/", "\\57"),
    "as hexadecimal with colons": SECRET.encode().hex(":"),
    "as a list of bytes": str([*SECRET.encode()]),
    "in two lines": f"{SECRET[:8]}\n{SECRET[8:]}",
    "with tags": f"{SECRET[:8]}<b>{SECRET[8:]}</b>",
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_no_secret_is_shown(writing: str) -> None:
    shown = excerpt(f"Wrong: {WRITINGS[writing]} is unknown.".encode(), [SECRET])

    assert "repeats a secret" in shown or "***" in shown
    assert SECRET not in shown and WRITINGS[writing] not in shown


def test_what_has_no_secret_is_shown() -> None:
    body = b'{"error": "No member &quot;Ada&quot; \\u00e9 %41"}'
    assert excerpt(body, [SECRET]) == f' It says: "{body.decode()}".'
    assert excerpt(b"", [SECRET]) == ""


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("length", range(8, 12))
def test_base64_is_found_wherever_it_begins(before: int, after: int, length: int) -> None:
    secret = "s3cretOfTheShop!"[:length]
    text = base64.b64encode(("x" * before + secret + "y" * after).encode()).decode()
    assert "repeats a secret" in excerpt(text.encode(), [secret])


@pytest.mark.parametrize("answer", ["pw is s3cret", "s3§acret", "§4s§a3§bcret", "s3\ncret", "s3\x00cr\x00et", "S3CRET"])
def test_no_password_of_a_game_server_is_shown(answer: str) -> None:
    shown = shortened(without_password(answer, "s3cret"))
    assert "***" in shown
    assert "s3" not in shown.casefold()


def test_an_answer_without_the_password_is_shown() -> None:
    assert shortened(without_password("§aGave 1 [Diamond] to Ada", "s3cret")) == "Gave 1 [Diamond] to Ada"
