"""Filters and searches of orders as SQL conditions. Values are always bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from services.staff.domain.order_filter import OrderFilter, SearchText

DATE = "coalesce(o.placed_at, o.created_at)"
"""The date of an order: when it was placed; until then, when its checkout was opened. As in the index `orders_date`."""
PREFIX = "ORD-"
"""Of the numbers that checkout gives."""
LAST = "\U0010ffff"
"""Follows every other character in the order of the database."""


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL about a row of `orders`, called `o`."""

    sql: str
    values: dict[str, Any] = field(default_factory=dict)

    def __and__(self, other: Condition) -> Condition:
        return Condition(f"{self.sql} and {other.sql}", self.values | other.values)


def of_filter(given: OrderFilter) -> Condition:
    """By one index of facets, and by the date where a period is given."""
    parts, values = ["true"], dict[str, Any]()
    if all_of := [group[0] for group in given.groups if len(group) == 1]:
        parts.append("o.facets @> cast(:all_of as text[])")
        values["all_of"] = all_of
    for number, group in enumerate(group for group in given.groups if len(group) > 1):
        parts.append(f"o.facets && cast(:any_of_{number} as text[])")
        values[f"any_of_{number}"] = list(group)
    if given.none_of:
        parts.append("not o.facets && cast(:none_of as text[])")
        values["none_of"] = list(given.none_of)
    for name, sign, moment in (("placed_from", ">=", given.placed_from), ("placed_to", "<", given.placed_to)):
        if moment is not None:
            parts.append(f"o.placed_at {sign} :{name} and {DATE} {sign} :{name}")
            values[name] = moment
    return Condition(" and ".join(parts), values)


def of_stores(stores: Sequence[str], *, all_of_them: bool) -> Condition:
    """`all_of_them`: there are no other stores, so that no index needs to be asked."""
    facet = "" if all_of_them else " and o.facets && cast(:store_facets as text[])"
    values: dict[str, Any] = {"stores": list(stores)}
    if facet:
        values["store_facets"] = [f"store:{store}" for store in stores]
    return Condition(f"o.store = any(cast(:stores as text[])){facet}", values)


@dataclass(frozen=True, slots=True)
class Search:
    """A search in two ways: all that it finds, by indexes, and whether one order is among it."""

    source: str
    """Selects `order_id`, each branch of it at most `:most_found`."""
    check: str
    """A condition about a row `o`."""
    values: dict[str, Any]

    @classmethod
    def of_whole(cls, text: SearchText) -> Self:
        """A whole number, email address or transaction's id."""
        upper = text.typed.upper()
        return cls(
            source="""
                (select order_id from orders where store = any(cast(:stores as text[]))
                    and number = any(cast(:numbers as text[])) limit :most_found)
                union all
                (select order_id from orders where store = any(cast(:stores as text[])) and email = :email
                    limit :most_found)
                union all
                (select order_id from transactions where reference = :typed limit :most_found)""",
            check="""(o.number = any(cast(:numbers as text[])) or o.email = :email or exists (
                select from transactions x where x.order_id = o.order_id and x.reference = :typed offset 0))""",
            values={
                "numbers": list(dict.fromkeys((text.typed, upper, PREFIX + upper))),
                "email": text.typed.lower(),
                "typed": text.typed,
            },
        )

    @classmethod
    def of_customer(cls, email: str) -> Self:
        return cls(
            source="""(select order_id from orders where store = any(cast(:stores as text[])) and email = :email
                limit :most_found)""",
            check="o.email = :email",
            values={"email": email},
        )

    @classmethod
    def of_pieces(cls, text: SearchText) -> Self:
        """Pieces of number, name and email address, or of transactions' ids."""
        names = [f"piece_{number}" for number in range(len(text.terms))]
        likes = " and ".join(f"s.folded like :{name}" for name in names) or "false"
        tables = ("order_search", "payment_search")
        found = [f"(select s.order_id from {table} s where {likes} limit :most_found)" for table in tables]
        one = "exists (select from {} s where s.order_id = o.order_id and {} offset 0)"
        return cls(
            source=" union all ".join(found),
            check=f"({' or '.join(one.format(table, likes) for table in tables)})",
            values={name: f"%{_escaped(term)}%" for name, term in zip(names, text.terms, strict=True)},
        )

    @classmethod
    def of_beginning(cls, text: SearchText) -> Self:
        """What number, name or email address begins with."""
        lower, numbers = text.typed.lower(), dict.fromkeys((text.typed, text.typed.upper()))
        ranges = [("email", lower), ("lower(o.customer_name)", lower), *(("number", number) for number in numbers)]
        names = [(column if "(" in column else f"o.{column}", number) for number, (column, _) in enumerate(ranges)]
        parts = [f"({column} >= :first_{n} and {column} < :last_{n})" for column, n in names]
        values = {f"first_{n}": begin for n, (_, begin) in enumerate(ranges)}
        return cls(
            source=" union all ".join(
                f"(select o.order_id from orders o where o.store = any(cast(:stores as text[])) and {part} "
                "limit :most_found)"
                for part in parts
            ),
            check=f"({' or '.join(parts)})",
            values=values | {f"last_{n}": begin + LAST for n, (_, begin) in enumerate(ranges)},
        )


def _escaped(term: str) -> str:
    return term.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
