"""Roles: named sets of permissions, which users have in some stores or in all of them.

Permissions are written as those of API clients: `*` stands for any characters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

EVERY_STORE = "*"
VIEWER = (
    *("attention.read", "delivery.read", "feed.read", "file.read", "monitor.read", "notification.read", "order.read"),
    *("payment.read", "product.read", "report.read", "sku.read", "stock.read", "store.read"),
    *("carrier.read", "server.read", "job.read", "view.read"),
)
AGENT = (
    *(*VIEWER, "job.start", "order.*", "delivery.*", "view.*"),
    *("code.provide", "download.renew", "feed.mark", "mail.*", "parcel.*"),
)
MANAGER = (
    *(*AGENT, "payment.*", "ledger.read", "stock.*", "sku.*", "product.*", "offer.*", "pool.*", "codes.*", "carrier.*"),
    *("extras.*", "file.*", "server.*", "discord.*", "webhook.*", "store.change", "user.read", "user.invite"),
    "export.make",
)


@dataclass(frozen=True, slots=True)
class Role:
    name: str
    permissions: tuple[str, ...]
    second_factor: bool = False
    """What it permits needs a second factor."""
    built_in: bool = False


BUILT_IN: Mapping[str, Role] = {
    name: Role(name, permissions, built_in=True)
    for name, permissions in (("viewer", VIEWER), ("agent", AGENT), ("manager", MANAGER), ("admin", ("*",)))
}


class GivenRole(NamedTuple):
    """A role that a user has in a store, or in all of them (`*`)."""

    role: str
    store: str


class Rights(NamedTuple):
    """Permissions in some stores; None: in all of them."""

    permissions: tuple[str, ...]
    stores: frozenset[str] | None

    def include(self, permission: str, store: str) -> bool:
        """`store`: one, or `*` for all of them."""
        there = self.stores is None or store in self.stores
        return there and any(fnmatchcase(permission, pattern) for pattern in self.permissions)


def rights_of(given: Iterable[GivenRole], roles: Mapping[str, Role], *, second_factor: bool) -> tuple[Rights, ...]:
    """What a user may do. Roles that ask for a second factor count only with it, and roles that are gone do not."""
    stores: dict[str, set[str]] = {}
    for each in given:
        role = roles.get(each.role)
        if role is not None and (second_factor or not role.second_factor):
            stores.setdefault(each.role, set()).add(each.store)
    return tuple(
        Rights(roles[name].permissions, None if EVERY_STORE in there else frozenset(there))
        for name, there in sorted(stores.items())
    )


def narrowed(rights: Iterable[Rights], permissions: Iterable[str], stores: frozenset[str] | None) -> tuple[Rights, ...]:
    """What is left of rights for a token that is for these permissions in these stores."""
    found, asked = [], tuple(permissions)
    for have in rights:
        both = frozenset((*_within(asked, have.permissions), *_within(have.permissions, asked)))
        there = have.stores if stores is None else stores if have.stores is None else have.stores & stores
        if both and (there is None or there):
            found.append(Rights(tuple(sorted(both)), there))
    return tuple(found)


def lacking(have: Collection[Rights], asked: Iterable[Rights]) -> list[str]:
    """The permissions, each with its store, that are asked for and not included in what one has."""
    return sorted(
        {
            f"{permission} ({'all stores' if store == EVERY_STORE else store})"
            for rights in asked
            for permission in rights.permissions
            for store in ([EVERY_STORE] if rights.stores is None else rights.stores)
            if not any(own.include(permission, store) for own in have)
        }
    )


def _within(some: Iterable[str], others: Iterable[str]) -> list[str]:
    """Those that mean no more than one of the others: `order.*` is within `*`, and not within `*.read`."""
    return [each for each in some if any(fnmatchcase(each, other) for other in others)]
