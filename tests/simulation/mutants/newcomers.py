"""Bugs of the rule that a customer's first order is held, and of how long data is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from services.checkout.domain import placement
from services.checkout.storage import has_bought
from shared.core import Question
from shared.shell.ports.tables import Search
from shared.simulation.memory_transaction import MemoryTransaction
from tests.simulation.mutants.catalogue import instead, mutant


def _finds(whom: Any) -> Any:
    """A search by another rule."""
    real = MemoryTransaction.search

    async def search(self: MemoryTransaction, search: Search, questions: Sequence[Question]) -> set[Question]:
        return await real(self, Search(search.kind, search.table, search.statement, whom), questions)

    return search


@mutant("an order that is not paid makes its customer known", seeds=range(8, 10_000))
def known_unpaid() -> Iterator[None]:
    def has_ordered(asked: Any, row: dict[str, Any]) -> bool:
        return has_bought(asked, row | {"status": "processing", "paid": 1, "refunded": 0, "payment_status": "paid"})

    with instead(MemoryTransaction, "search", _finds(has_ordered)):
        yield


@mutant("a held order makes its customer known", seeds=range(22, 10_000))
def known_while_held() -> Iterator[None]:
    def has_paid(asked: Any, row: dict[str, Any]) -> bool:
        return has_bought(asked, row | {"data": row["data"] | {"held": None}})

    with instead(MemoryTransaction, "search", _finds(has_paid)):
        yield


@mutant("an account is taken on a customer's word", seeds=range(98, 10_000))
def known_by_word() -> Iterator[None]:
    def said(asked: Any, row: dict[str, Any]) -> bool:
        customer = row["data"].get("customer") or {}
        return has_bought(asked, row | {"data": row["data"] | {"customer": customer | {"signed_in": True}}})

    with instead(MemoryTransaction, "search", _finds(said)):
        yield


@mutant("what an abandoned checkout told is kept for good", slow=True)
def kept_for_good() -> Iterator[None]:
    with instead(placement, "keep", lambda change, store: None):
        yield
