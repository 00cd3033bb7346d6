"""Whatever customers write into fields, an HTTP action's request is exactly the one that was configured."""

from __future__ import annotations

import random
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
from yarl import URL

from shared.contracts.http_action import HttpCall
from shared.contracts.http_request import UnusableField, filled, is_dotted

CALL = HttpCall(
    url="https://school.example/a/{{custom.a}}/b-{{custom.b}}/c?x={{custom.a}}&y=1&z={{custom.b}}",
    headers={"X-Field": "id={{custom.a}}; b={{custom.b}}", "X-Fixed": "f"},
    body={"a": "{{custom.a}}", "n": 1, "list": ["{{custom.b}}", {"deep": "<{{custom.a}}>"}], "none": None},
)
VALUES = 10_000
PIECES = (
    *("\r\n", "\n", "\r", "\0", "\x1b", "\x7f", "\u2028", "\u0085", "\ufeff", "\u202e", "\ud800", "😀", "é", " ", "\t"),
    *("/", "\\", "..", ".", "%2e", "%2F", "%00", "%", "%zz", "?", "#", "&", "=", ";", ",", "@", ":", "//", "[", "]"),
    *('"', "'", "`", "{", "}", "{{", "}}", "{{custom.b}}", "{{order.id}}", '","admin":true,"x":"', "null", "true", "1"),
    *("\r\nX-Admin: 1", "\r\n\r\nGET /x HTTP/1.1\r\nHost: y", "$(id)", "${x}", "<script>", "http://169.254.169.254/"),
    *("a", "Notch", "x" * 50),
)


def hostile(rng: random.Random) -> str:
    text = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 6)))
    return text if text.strip() else "a"


def cases() -> Iterator[tuple[str, str]]:
    rng = random.Random(20)
    for number in range(VALUES // 2):
        yield (PIECES[number] if number < len(PIECES) and PIECES[number].strip() else hostile(rng)), hostile(rng)


def test_ten_thousand_hostile_values_change_only_their_own_places() -> None:
    refused = 0
    for first, second in cases():
        try:
            request = filled(CALL, {"custom.a": first, "custom.b": second})
        except UnusableField:
            assert first in (".", ".."), "only what no client sends as it is"
            refused += 1
            continue
        a, b = (value.encode("utf-8", "replace").decode() for value in (first, second))
        for sent in (request.url, str(URL(request.url))):  # as the client writes it, too
            parts = urlsplit(sent)
            assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "school.example", "")
            assert [unquote(one) for one in parts.path.split("/")] == ["", "a", a, f"b-{b}", "c"]
            assert parse_qsl(parts.query, keep_blank_values=True) == [("x", a), ("y", "1"), ("z", b)]
        (field, value), fixed = request.headers
        assert field == "X-Field" and fixed == ("X-Fixed", "f")
        assert value.isascii() and value.isprintable() and value.count(";") == 1 and unquote(value) == f"id={a}; b={b}"
        body = orjson.loads(request.body or "")
        assert body == {"a": a, "n": 1, "list": [b, {"deep": f"<{a}>"}], "none": None}
    assert refused < 50


def test_dots_are_found_however_they_are_written() -> None:
    for path in ("/a/../b", "/a/%2e%2E/b", "/a/.%2e", "/./a"):
        assert is_dotted(f"https://h.example{path}")
    assert not is_dotted("https://h.example/a..b/...?x=..")
