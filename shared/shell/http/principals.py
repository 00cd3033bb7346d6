"""Who makes a request: API clients from the settings, the holders of tokens that a service has signed, and users that
a service has in its tables."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from shared.api_clients import EVERYTHING, OPERATOR, ApiClientSettings
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.shell.http.assertions import Asserted, RequestHead


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions in some stores."""

    permissions: tuple[str, ...]
    """As a principal's."""
    stores: frozenset[str] | None
    """None: all of them."""

    def may(self, permission: str) -> bool:
        return any(fnmatchcase(permission, pattern) for pattern in self.permissions)

    def reaches(self, stores: frozenset[str] | None) -> bool:
        return self.stores is None or (stores is not None and stores <= self.stores)


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
    grants: tuple[Grant, ...] = ()
    """Where it may do different things in different stores. `permissions` and `stores` are made of them for each
    request."""

    def may(self, permission: str) -> bool:
        return any(fnmatchcase(permission, pattern) for pattern in self.permissions)

    def where(self, permission: str) -> Self:
        """The same with the stores in which it has the permission, and with what it may do in each of them."""
        if not self.grants:
            return self
        giving = [grant for grant in self.grants if grant.may(permission)]
        everywhere = any(grant.stores is None for grant in giving)
        stores = None if everywhere else frozenset(store for grant in giving for store in grant.stores or ())
        there = [pattern for grant in self.grants if grant.reaches(stores) for pattern in grant.permissions]
        return replace(self, permissions=(*([permission] if giving else ()), *there), stores=stores)

    def within(self, store: str) -> Self:
        """The same with what it may do in this store, and in no other."""
        if not self.grants:
            return self
        stores = frozenset({store})
        there = [pattern for grant in self.grants if grant.reaches(stores) for pattern in grant.permissions]
        return replace(self, permissions=tuple(there), stores=stores)


Identify = Callable[[str], Principal | None]
"""By a token. Reads those that a service has signed itself."""
FindKnown = Callable[[str], Awaitable[Principal | None]]
"""By a token, or by a session's cookie: finds those that a service has in its tables."""
ReadAssertion = Callable[[str, "RequestHead"], "Asserted"]
"""By an assertion of staff (`assertions.py`) and the request that it came with. Raises BadAssertion."""


class Principals:
    """Finds the principal of a bearer token, of a session, or of an assertion."""

    def __init__(
        self,
        clients: Iterable[ApiClientSettings],
        signed: Identify | None = None,
        operator: SecretStr | None = None,
        known: FindKnown | None = None,
        asserted: ReadAssertion | None = None,
    ) -> None:
        self._by_digest = _operator(operator)
        for client in clients:
            principal = principal_of(client)
            self._by_digest |= dict.fromkeys(client.token_sha256, principal)
        self._signed = signed
        self._known = known
        self.asserted = asserted
        self.has_sessions = known is not None

    @classmethod
    def of(
        cls,
        settings: Settings,
        signed: Identify | None = None,
        known: FindKnown | None = None,
        asserted: ReadAssertion | None = None,
    ) -> Self:
        return cls(settings.api_clients, signed, settings.api_token, known, asserted)

    @classmethod
    def of_token(cls, token: str) -> Self:
        """One client that may do everything."""
        return cls((), operator=SecretStr(token))

    def find(self, header: str) -> Principal | None:
        """By the header `Authorization`. The digest of a token says nothing about it, so it may be looked up."""
        token = _bearer(header)
        if not token:
            return None
        known = self._by_digest.get(hashlib.sha256(token).hexdigest())
        if known is None and self._signed is not None and token.isascii():
            known = self._signed(token.decode())
        return known

    async def of_header(self, header: str) -> Principal | None:
        """As `find`, and among the tokens in the service's tables."""
        found = self.find(header)
        token = _bearer(header)
        if found is None and self._known is not None and token and token.isascii():
            found = await self._known(token.decode())
        return found

    async def of_session(self, cookie: str) -> Principal | None:
        return await self._known(cookie) if self._known is not None and cookie.isascii() else None


def _bearer(header: str) -> bytes:
    """Empty where there is no such token."""
    scheme, _, token = header.encode("utf-8", "surrogateescape").partition(b" ")
    return token if scheme.lower() == b"bearer" else b""


def principal_of(client: ApiClientSettings) -> Principal:
    stores = None if EVERYTHING in client.stores else frozenset(client.stores)
    return Principal(client.name, client.permissions, stores)


def _operator(token: SecretStr | None) -> dict[str, Principal]:
    """By the digest of its token."""
    if token is None:
        return {}
    digest = hashlib.sha256(token.get_secret_value().encode()).hexdigest()
    return {digest: Principal(OPERATOR, (EVERYTHING,), None)}
