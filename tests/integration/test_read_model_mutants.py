"""Do the tests of read models on PostgreSQL detect bugs? Each known one, put into the real statements, fails one.
What can be seen in the simulation is in tests/simulation/mutants/read_models.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.shell.postgres import day_sums
from shared.shell.postgres import read_model_statements as statements
from shared.shell.postgres.statements import Sql
from tests.integration import test_day_sums as judges_of_sums
from tests.integration import test_read_models as judges
from tests.integration.test_read_models import engine

__all__ = ["engine"]
Judge = Callable[[AsyncEngine], Awaitable[None]]


async def in_pieces(engine: AsyncEngine) -> None:
    await judges.test_read_in_pieces_as_at_once_on_both(engine, 1)


async def sums_in_pieces(engine: AsyncEngine) -> None:
    await judges_of_sums.test_they_are_what_all_rows_add_up_to(engine, 1)


@dataclass(frozen=True)
class Mutant:
    """A bug: a piece of a statement that is another, and the test that detects it."""

    statement: str
    right: str
    wrong: str
    judge: Judge = in_pieces
    module: ModuleType = statements


MUTANTS = {
    "a row is written without the revision guard": Mutant(
        "show_statement",
        "where t.packed_revision < excluded.packed_revision",
        "",
        judges.test_an_older_revision_changes_nothing_even_from_another_place,
    ),
    "a row that changes still adds to sums what it did": Mutant(
        "change_statement", "s as sign", "greatest(s, 0) as sign", sums_in_pieces, day_sums
    ),
    "what a row adds to a sum takes the sum's place": Mutant(
        "change_statement", "= s.parcels + ", "= ", sums_in_pieces, day_sums
    ),
    "a row that changes is still counted as what it was": Mutant("show_statement", "-1 from before", "0 from before"),
    "a row that did not change is not counted any more": Mutant(
        "show_statement",
        "b join changed using (parcel)",
        "b",
        judges.test_of_a_key_in_two_partitions_the_counter_counts_one_row,
    ),
    "parts that are gone stay": Mutant("drop_parts_statement", "and not exists", "and false and not exists"),
    "parts that change stay as they were": Mutant("put_parts_statement", "is distinct from", "is not distinct from"),
    "positions move from wherever they are": Mutant(
        "MOVE",
        "and p.next_offset = u.since",
        "",
        lambda engine: judges.test_who_thinks_a_partition_elsewhere_than_it_is_writes_nothing(engine, False),
    ),
    "what was parked stays when a later record is shown": Mutant("CATCH_UP", "and p.topic = u.topic", "and false"),
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
async def test_a_mutant_is_detected(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, mutant: Mutant) -> None:
    right = getattr(mutant.module, mutant.statement)
    changed = list[str]()

    def wrong(made: Sql) -> Sql:
        changed.extend([made.source] if mutant.right in made.source else [])
        return Sql(made.source.replace(mutant.right, mutant.wrong))

    replacement = wrong(right) if isinstance(right, Sql) else lambda *about: wrong(right(*about))
    monkeypatch.setattr(mutant.module, mutant.statement, replacement)

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await mutant.judge(engine)

    assert changed, "the statement has that piece no more: mutate another"
