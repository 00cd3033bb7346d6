"""What roles permit, where, and what may be given by whom."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

import pytest

from services.staff.domain.roles import BUILT_IN, GivenRole, Rights, lacking, narrowed, rights_of
from shared.permissions import PERMISSIONS

EVERYWHERE = (Rights(("*",), None),)


def test_each_built_in_role_permits_what_the_one_before_does() -> None:
    permitted = [
        {one for one in PERMISSIONS if any(fnmatchcase(one, pattern) for pattern in BUILT_IN[name].permissions)}
        for name in ("viewer", "agent", "manager", "admin")
    ]
    assert permitted[0] < permitted[1] < permitted[2] < permitted[3] == set(PERMISSIONS)
    assert all(one.endswith(".read") for one in permitted[0])
    assert not {"secret.read", "secret.set", "user.manage", "role.manage", "audit.read"} & permitted[2]


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_of_its_patterns_names_a_permission(name: str) -> None:
    assert all(any(fnmatchcase(one, pattern) for one in PERMISSIONS) for pattern in BUILT_IN[name].permissions)


def test_rights_are_those_of_each_role_where_it_was_given() -> None:
    given = [GivenRole("agent", "a"), GivenRole("agent", "b"), GivenRole("viewer", "*"), GivenRole("gone", "*")]
    assert rights_of(given, BUILT_IN, second_factor=False) == (
        Rights(BUILT_IN["agent"].permissions, frozenset("ab")),
        Rights(BUILT_IN["viewer"].permissions, None),
    )


def test_a_role_that_asks_for_a_second_factor_counts_only_with_it() -> None:
    roles = {**BUILT_IN, "admin": replace(BUILT_IN["admin"], second_factor=True)}
    given = [GivenRole("admin", "*"), GivenRole("viewer", "*")]
    assert rights_of(given, roles, second_factor=False) == (Rights(BUILT_IN["viewer"].permissions, None),)
    assert EVERYWHERE[0] in rights_of(given, roles, second_factor=True)


@pytest.mark.parametrize(
    ("have", "asked", "missing"),
    [
        (EVERYWHERE, Rights(("*",), None), []),
        (EVERYWHERE, Rights(("order.cancel",), frozenset("a")), []),
        ((Rights(("order.*",), None),), Rights(("*",), None), ["* (all stores)"]),
        ((Rights(("*",), frozenset("a")),), Rights(("order.read",), None), ["order.read (all stores)"]),
        ((Rights(("*",), frozenset("a")),), Rights(("order.read",), frozenset("ab")), ["order.read (b)"]),
        ((Rights(("order.read", "order.ship"), None),), Rights(("order.*",), None), ["order.* (all stores)"]),
        ((Rights(("*.read",), None),), Rights(("order.*", "order.read"), None), ["order.* (all stores)"]),
        ((Rights(("a.x",), frozenset("a")), Rights(("b.x",), frozenset("b"))), Rights(("a.x",), frozenset("b")),
         ["a.x (b)"]),
        ((Rights(("x",), frozenset("a")), Rights(("x",), frozenset("b"))), Rights(("x",), frozenset("ab")), []),
    ],
)  # fmt: skip
def test_what_one_lacks_cannot_be_given(have: tuple[Rights, ...], asked: Rights, missing: list[str]) -> None:
    assert lacking(have, [asked]) == missing


@pytest.mark.parametrize(
    ("have", "permissions", "stores", "left"),
    [
        (EVERYWHERE, ("order.read",), frozenset("a"), [Rights(("order.read",), frozenset("a"))]),
        ((Rights(("order.read",), None),), ("*",), None, [Rights(("order.read",), None)]),
        ((Rights(("*",), frozenset("a")),), ("order.*",), None, [Rights(("order.*",), frozenset("a"))]),
        ((Rights(("*",), frozenset("a")),), ("order.*",), frozenset("b"), []),
        ((Rights(("mail.*",), None),), ("order.*",), None, []),
    ],
)
def test_a_token_permits_no_more_than_its_user_and_itself(
    have: tuple[Rights, ...], permissions: tuple[str, ...], stores: frozenset[str] | None, left: list[Rights]
) -> None:
    assert list(narrowed(have, permissions, stores)) == left
