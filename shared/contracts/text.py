"""Text that others write: what is accepted of it, and how it is shown where programs turn text into links."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import idna

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, line and paragraph separators, and what turns the direction of the text that follows."""
_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
"""Dot-string of RFC 5321 (4.1.2), with the letters of RFC 6531. Quoted strings are not accepted."""
MAX_ADDRESS = 254
"""Octets, with the domain as DNS has it: RFC 5321 (4.5.3.1.3), less the brackets."""


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
    name = domain_name(domain)
    if not _LOCAL.fullmatch(local) or not name or len(local.encode()) + 1 + len(name) > MAX_ADDRESS:
        raise ValueError("is not an email address")
    return address


_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def domain_name(text: str) -> str:
    """A domain as DNS has it (`xn--bcher-kva.example`); empty where it is none, or where programs read some of its
    characters as others (`⒈`, `１`)."""
    name = text.lower()
    if not name.isascii():
        if not unicodedata.is_normalized("NFKC", name):
            return ""
        try:
            name = idna.encode(name).decode()
        except idna.IDNAError:
            return ""
    return name if len(name) <= 253 and all(map(_LABEL.fullmatch, name.split("."))) else ""


_SCHEME = re.compile(r":(?=\S)")
_DOTS = ".。．｡․﹒"
_HOST = re.compile(rf"(?<=\S)([{_DOTS}])(?=[^\W\d_](?![{_DOTS}\s]|$)|\d{{1,3}}[{_DOTS}]\d)")
"""A dot that makes a host of what stands around it: before what may be a top-level domain, or in an IPv4 address. What
stands before it may be anything: domains have emoji and combining marks, and programs ignore what is invisible."""


def without_links(text: str) -> str:
    """The text with a space after whatever makes an address of it, so that no email program shows a link:
    `https: //evil. example/x`."""
    return _HOST.sub(r"\1 ", _SCHEME.sub(": ", text))


MAX_GREETED, MOST_NAMES = 40, 4


def greeted(name: str) -> str:
    """The name as an email can begin with it. Empty where it is longer or other than a name is: it goes to an address
    that its author chose."""
    names = name.split()
    plain = all(c.isalpha() or c in " .,'’-" or unicodedata.category(c).startswith("M") for c in name.strip())
    clean = " ".join(names)
    if not 1 <= len(names) <= MOST_NAMES or len(clean) > MAX_GREETED or not plain or without_links(clean) != clean:
        return ""
    return clean
