"""URLs that we are asked to call, and which addresses may be called.

An address is `public`, `private` (called only if the settings allow it) or `never` called: link-local (where clouds
keep credentials), multicast, reserved, or written in a form that programs read in different ways.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal
from urllib.parse import urlsplit

from shared.contracts.text import domain_name

Reach = Literal["public", "private", "never"]

_PRIVATE = tuple(
    map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"))
)
_NEVER = tuple(
    map(
        IPv4Network,
        "0.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.51.100.0/24 203.0.113.0/24 "
        "224.0.0.0/4 240.0.0.0/4".split(),
    )
)
"""Source of both lists: https://www.iana.org/assignments/iana-ipv4-special-registry."""
_PRIVATE_6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_GLOBAL_6 = IPv6Network("2000::/3")
"""All that IANA has given out: https://www.iana.org/assignments/ipv6-address-space."""
_SPECIAL_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_MAPPED = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""IPv4 in the last 32 bits, and nothing else: RFC 4291 (2.5.5.2), RFC 6052."""
_6TO4 = IPv6Network("2002::/16")
_ISATAP = b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe"
"""RFC 5214: before the IPv4 address in the last 32 bits."""

_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE | re.ASCII)


def reach_of(address: str) -> Reach:
    """The class of an IP address, looking through IPv6's ways of carrying IPv4. Raises ValueError."""
    ip = ip_address(address.partition("%")[0])
    return _reach_of_4(ip) if isinstance(ip, IPv4Address) else _reach_of_6(ip)


def _reach_of_4(ip: IPv4Address) -> Reach:
    if any(ip in network for network in _NEVER):
        return "never"
    return "private" if any(ip in network for network in _PRIVATE) else "public"


def _reach_of_6(ip: IPv6Address) -> Reach:
    low = IPv4Address(ip.packed[12:])
    if any(ip in network for network in _PRIVATE_6):
        return "private"
    if any(ip in network for network in _MAPPED):
        return _reach_of_4(low)
    if ip not in _GLOBAL_6 or any(ip in network for network in _SPECIAL_6):
        return "never"
    if ip in _6TO4:
        return _reach_of_4(IPv4Address(ip.packed[2:6]))
    return _reach_of_4(low) if ip.packed[8:12] in _ISATAP else "public"


def reach_of_host(host: str) -> Reach:
    """The class of a URL's host; a name is public until it is resolved, unless it is one of this machine. Raises
    ValueError for what cannot be a host, such as `127.1` or `2130706433`, which some programs read as an address."""
    name = host.rstrip(".").lower() if not host.endswith("..") else host
    if ":" in name:
        return reach_of(name)
    last = name.rpartition(".")[2]
    if _NUMBER.fullmatch(last):
        return reach_of(name)
    found = domain_name(name)
    last = found.rpartition(".")[2]
    if not found or _NUMBER.fullmatch(last):
        raise ValueError("its host is not valid")
    return "private" if last == "localhost" else "public"


@lru_cache(1000)
def reach_of_url(url: str) -> Reach:
    """The class of a URL's host. Raises ValueError, which says why the URL can never be called."""
    if not url.isprintable() or "\\" in url or " " in url:
        raise ValueError("contains characters that no URL has")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("its host or port is not valid") from None
    future = "[" in parts.netloc and ":" not in host  # `[v1.x]`: RFC 3986 keeps it for later
    if parts.scheme not in ("http", "https") or not host or port == 0 or future:
        raise ValueError("is not a complete http or https URL")
    try:
        return reach_of_host(host)
    except ValueError:
        raise ValueError("its host is not valid") from None


def callable_url(url: str) -> str:
    """The URL, if it can be called at all. Raises ValueError."""
    if reach_of_url(url) == "never":
        raise ValueError("its host is an address that is never called (link-local, multicast or reserved)")
    return url


def without_password(url: str) -> str:
    """The URL as it is shown."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    login, _, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login.partition(':')[0]}:***@{place}").geturl()
