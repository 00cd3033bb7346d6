"""Which orders a list shows: what staff choose, as the facets that orders have, and what they search for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

FACETS: Mapping[str, str] = {
    "status": "status",
    "payment_status": "payment",
    "fulfilment_status": "fulfilment",
    "provider": "provider",
    "method": "method",
    "source": "source",
    "tag": "tag",
    "discount": "discount",
    "item": "sku",
    "country": "country",
    "currency": "currency",
    "offer": "offer",
    "asked": "asked",
    "delivery": "delivery",
    "stage": "stage",
    "kind": "kind",
}
"""Filters that have values, and the facet of each."""
FLAGS: Mapping[str, str] = {
    "held": "held:yes",
    "owed": "owed:yes",
    "unresolved": "unresolved:yes",
    "given": "given:yes",
    "to_start": "start:wanted",
    "lost_emails": "emails:lost",
    "lost_webhooks": "webhooks:lost",
}
"""Filters that are true or false, and the facet of those for which they are true."""
PIECE = 3
"""Any piece of so many characters is found; of a shorter text, what begins with it."""
TERMS = 8
"""The most words that are looked for."""


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Orders that have at least one facet of each group, and were placed within a period."""

    groups: tuple[tuple[str, ...], ...] = ()
    none_of: tuple[str, ...] = ()
    """Facets that they have not."""
    placed_from: datetime | None = None
    placed_to: datetime | None = None
    """The first moment after the period."""

    @classmethod
    def of(
        cls,
        chosen: Mapping[str, Sequence[str]],
        flags: Mapping[str, bool | None],
        placed_from: datetime | None = None,
        placed_to: datetime | None = None,
    ) -> Self:
        """`chosen`: by the names of FACETS, `flags`: by those of FLAGS. No value: any."""
        groups = [tuple(dict.fromkeys(f"{FACETS[name]}:{v}" for v in values)) for name, values in chosen.items()]
        groups += [(FLAGS[name],) for name, value in flags.items() if value]
        none_of = tuple(FLAGS[name] for name, value in flags.items() if value is False)
        return cls(tuple(group for group in groups if group), none_of, placed_from, placed_to)

    def narrowed(self, facet: str) -> Self:
        return replace(self, groups=(*self.groups, (facet,)))

    @property
    def is_everything(self) -> bool:
        return self == type(self)()


@dataclass(frozen=True, slots=True)
class SearchText:
    """What was typed into the search field."""

    typed: str
    terms: tuple[str, ...]
    """Its words, folded as the stored texts are; each is to be found."""

    @property
    def is_short(self) -> bool:
        """Too short for pieces."""
        return all(len(term) < PIECE for term in self.terms)

    @property
    def may_be_whole(self) -> bool:
        """It could be all of an order's number, of an email address or of a transaction's id."""
        return (
            not self.is_short and len(self.terms) == 1 and ("@" in self.typed or any(c.isdigit() for c in self.typed))
        )


def search_text(typed: str, folded: str) -> SearchText:
    """`folded`: what was typed, in lower case and Latin letters. Repeated words count once."""
    return SearchText(typed.strip(), tuple(dict.fromkeys(folded.split()))[:TERMS])
