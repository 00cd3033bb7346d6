"""Text that others write: what is accepted of it, and how it is shown where programs turn text into links."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, line and paragraph separators, and what turns the direction of the text that follows."""
_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
"""Dot-string of RFC 5321 (4.1.2), with the letters of RFC 6531. Quoted strings are not accepted."""
_DOMAIN = re.compile(r"(?!-)[\w-]{1,63}(?<!-)(\.(?!-)[\w-]{1,63}(?<!-))*")


def one_line(text: str) -> str:
    """The text, if it has no line breaks and no control characters. Raises ValueError."""
    if not text.isprintable() and _CONTROL.search(text):
        raise ValueError("must be one line without control characters")
    return text


def lines(text: str) -> str:
    """The text, if its only control characters are line breaks and tabs. Raises ValueError."""
    if not text.isprintable() and _CONTROL.search(text.replace("\r\n", " ").replace("\n", " ").replace("\t", " ")):
        raise ValueError("must not contain control characters other than line breaks and tabs")
    return text


@lru_cache(1000)
def email_address(address: str) -> str:
    """The address, if it has only letters, digits and what RFC 5321 and 6531 allow. Raises ValueError."""
    local, _, domain = address.rpartition("@")
    if not address.isprintable():
        raise ValueError("contains control or format characters")
    if not (_LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain)):
        raise ValueError("is not an email address")
    return address


_SCHEME = re.compile(r":(?=\S)")
_HOST = re.compile(r"(?<=\w)([.。．｡․])(?=[^\W\d_]{2}|xn--|\d{1,3}[.。．｡․]\d)", re.IGNORECASE)
"""A dot that makes a host of what stands around it: before a top-level domain, or in an IPv4 address."""


def without_links(text: str) -> str:
    """The text with a space after whatever makes an address of it, so that no email program shows a link:
    `https: //evil. example/x`."""
    return _HOST.sub(r"\1 ", _SCHEME.sub(": ", text))


MAX_GREETED = 60


def greeted(name: str) -> str:
    """`Hello Ada Lovelace,`, or `Hello,` where the name is longer or other than a name is: it begins an email to an
    address that its author chose."""
    clean = name.strip()
    plain = all(c.isalpha() or c in " .,'’-" or unicodedata.category(c).startswith("M") for c in clean)
    if not clean or len(clean) > MAX_GREETED or not plain or without_links(clean) != clean:
        return "Hello,"
    return f"Hello {clean},"
