"""Links to the pay page: signed, expiring, for one order; their keys rotate."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr, ValidationError

from shared.pay_links import READABLE_FOR, BadLink, PayLinks, PayPageSettings
from shared.shell.signed_tokens import SignedTokens

UNTIL = datetime(2026, 3, 10, 14, 5, tzinfo=UTC)
OLD, NEW = "an-old-key-of-more-than-32-characters", "a-new-key-of-more-than-32-characters"
URL = "https://pay.example/"


def token_of(links: PayLinks, order: str = "o-1") -> str:
    return links.url(order, UNTIL).rpartition("/")[2]


def test_a_link_says_which_order_and_until_when_it_is_read() -> None:
    links = PayLinks(URL, (OLD,))

    assert links.url("o-1", UNTIL).startswith("https://pay.example/pay/")
    claim = links.read(token_of(links))
    assert (claim.order, claim.expires) == ("o-1", UNTIL + READABLE_FOR)
    assert links.url_of("x") == "https://pay.example/pay/x"


def test_keys_rotate() -> None:
    before, rotated, after = PayLinks(URL, (OLD,)), PayLinks(URL, (NEW, OLD)), PayLinks(URL, (NEW,))

    assert rotated.read(token_of(before)).order == "o-1"
    assert token_of(rotated) == token_of(after)
    with pytest.raises(BadLink):
        after.read(token_of(before))


@pytest.mark.parametrize("wrong", ["", ".", "x", "x.y", "eyJvIjoibyJ9.", "ü.ü", "a" * 5000, "\x00"])
def test_what_is_no_link(wrong: str) -> None:
    with pytest.raises(BadLink):
        PayLinks(URL, (OLD,)).read(wrong)


def test_a_changed_link_is_none() -> None:
    links = PayLinks(URL, (OLD,))
    token = token_of(links)
    changed = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(len(token) - 1)]

    for wrong in changed:
        with pytest.raises(BadLink):
            links.read(wrong)


def test_a_token_for_something_else_is_none() -> None:
    with pytest.raises(BadLink):
        PayLinks(URL, (OLD,)).read(SignedTokens(OLD, "download").make({"o": "o-1", "e": 1}))
    for content in ({"o": "o-1"}, {"e": 1}, ["o"], {"o": "o-1", "e": "soon"}, {"o": "o-1", "e": 1e300}):
        with pytest.raises(BadLink):
            PayLinks(URL, (OLD,)).read(SignedTokens(OLD, "pay").make(content))  # type: ignore[arg-type]


def test_a_page_needs_keys() -> None:
    assert PayLinks.of(PayPageSettings()) is None
    assert PayLinks.of(PayPageSettings(url=URL, keys=SecretStr(f"{NEW},{OLD}")))
    assert PayLinks.of(PayPageSettings(keys=SecretStr(NEW))) is None
    with pytest.raises(ValidationError, match="the links to the pay page are signed"):
        PayPageSettings.model_validate({"url": URL})
    with pytest.raises(ValidationError, match="at least 32 characters"):
        PayPageSettings.model_validate({"url": URL, "keys": "short"})
