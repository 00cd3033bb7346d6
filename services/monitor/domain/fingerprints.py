"""What tells whether two orders came from the same place, and nothing else: each process makes a key of its own."""

from __future__ import annotations

import hashlib
import re
from ipaddress import ip_address, ip_network

from services.monitor.domain.unusual import Source

SIZE = 12
"""Bytes of a fingerprint."""
NETWORK_BITS = 64
"""Of an IPv6 address: what one customer has at least."""
_NOT_WORDS = re.compile(r"[\W_]+")


class Fingerprints:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def mail(self, email: str) -> Source:
        """`Ann+1@Example.org` is `ann@example.org`."""
        name, _, domain = email.strip().casefold().rpartition("@")
        return Source("mail", self._of(name.partition("+")[0] or name, domain))

    def address(self, *lines: str | None) -> Source:
        """Without the name: many names at one address are what is looked for."""
        return Source("address", self._of(*(_NOT_WORDS.sub(" ", line or "").strip().casefold() for line in lines)))

    def ip(self, address: str) -> Source | None:
        try:
            found = ip_address(address.strip())
        except ValueError:
            return None
        if found.version == 6 and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        if found.version == 6:
            found = ip_network((found, NETWORK_BITS), strict=False).network_address
        return Source("ip", self._of(found.packed.hex()))

    def card(self, *parts: str) -> bytes:
        return self._of("card", *parts)

    def _of(self, *parts: str) -> bytes:
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=SIZE, key=self._key).digest()
