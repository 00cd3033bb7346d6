"""Who makes a request: API clients from the settings, and the holders of tokens that a service has signed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Self

from pydantic import SecretStr

from shared.api_clients import EVERYTHING, OPERATOR, ApiClientSettings
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that has proved who it is."""

    name: str
    """The actor of what it does, as in the order's timeline."""
    permissions: Sequence[str]
    """Names of permissions; `*` stands for any characters."""
    stores: frozenset[str] | None = frozenset()
    """The stores that it may act for; None: all of them."""
    recipient: str = ""
    """The only feed that it may reach; empty: those of its stores."""
    expires: datetime | None = None
    """When its token does; a response that goes on ends then."""

    def may(self, permission: str) -> bool:
        return any(fnmatchcase(permission, pattern) for pattern in self.permissions)


Identify = Callable[[str], Principal | None]
"""By a token. Reads those that a service has signed itself."""


class Principals:
    """Finds the principal of a bearer token."""

    def __init__(
        self, clients: Iterable[ApiClientSettings], signed: Identify | None = None, operator: SecretStr | None = None
    ) -> None:
        self._by_digest = _operator(operator)
        for client in clients:
            principal = principal_of(client)
            self._by_digest |= dict.fromkeys(client.token_sha256, principal)
        self._signed = signed

    @classmethod
    def of(cls, settings: Settings, signed: Identify | None = None) -> Self:
        return cls(settings.api_clients, signed, settings.api_token)

    @classmethod
    def of_token(cls, token: str) -> Self:
        """One client that may do everything."""
        return cls((), operator=SecretStr(token))

    def find(self, header: str) -> Principal | None:
        """By the header `Authorization`. The digest of a token says nothing about it, so it may be looked up."""
        scheme, _, token = header.encode("utf-8", "surrogateescape").partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            return None
        known = self._by_digest.get(hashlib.sha256(token).hexdigest())
        if known is None and self._signed is not None and token.isascii():
            known = self._signed(token.decode())
        return known


def principal_of(client: ApiClientSettings) -> Principal:
    stores = None if EVERYTHING in client.stores else frozenset(client.stores)
    return Principal(client.name, client.permissions, stores)


def _operator(token: SecretStr | None) -> dict[str, Principal]:
    """By the digest of its token."""
    if token is None:
        return {}
    digest = hashlib.sha256(token.get_secret_value().encode()).hexdigest()
    return {digest: Principal(OPERATOR, (EVERYTHING,), None)}
