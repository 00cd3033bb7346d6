"""Codes at rest, of files, typed by staff, and those of builds that kept them in clear. On PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.domain.operations import (
    POOL_EMPTY,
    CountCodes,
    GiveCodes,
    ReturnCodes,
    StoreCodes,
    TakeCode,
)
from services.fulfillment.gateways.clear_codes import BUILDS_MIX, SealingOfClearCodes, seal_clear_codes
from services.fulfillment.gateways.code_import import BadFile, CodeImport
from services.fulfillment.gateways.code_vault import CodeVault, SealingAgain
from services.fulfillment.gateways.codes import Codes
from shared.core import OperatorFault, Outcome
from shared.shell.postgres.engine import create_engine
from shared.shell.sealer import CannotOpen, Sealer
from tests.integration.conftest import NewDatabase
from tests.integration.seals import Seals

POOL = "acme/keys"


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    url = await new_database("fulfillment")
    engine = create_engine(url, "test", pool=10)
    yield engine
    await engine.dispose()


@pytest.fixture
def codes(engine: AsyncEngine) -> Codes:
    return Codes(engine, timedelta(seconds=1), CodeVault(Seals()))


@pytest.fixture
def imports(engine: AsyncEngine) -> CodeImport:
    return CodeImport(engine, CodeVault(Seals()))


async def rows(engine: AsyncEngine, statement: str, **values: Any) -> list[Any]:
    async with engine.begin() as connection:
        found = await connection.execute(sa.text(statement), values)
        return list(found.all()) if found.returns_rows else []


async def done(codes: Codes, operation: Any) -> Outcome:
    answer = await codes.perform(operation, str(uuid4()))
    assert isinstance(answer, Outcome), answer
    return answer


async def take(codes: Codes, order: str, quantity: int = 1) -> tuple[str, ...]:
    answer = await done(codes, TakeCode(POOL, order, "1", quantity))
    assert isinstance(answer, TakeCode.Done), answer
    return answer.codes


async def clear(engine: AsyncEngine, *codes: str, order: str | None = None) -> None:
    """Codes as an older build keeps them; with an order, as those of it."""
    statement = """
        insert into codes (key, code, batch, order_key, item, unit, taken_at)
        values (:pool, :code, :batch, :order, :item, :unit, :at)
    """
    for unit, code in enumerate(codes, 1):
        taken = {"order": order, "item": "1", "unit": unit, "at": datetime.now(UTC)}
        values = taken if order else dict.fromkeys(taken)
        await rows(engine, statement, pool=POOL, code=code, batch=uuid4(), **values)


# At rest


async def test_no_table_has_a_code_in_clear(engine: AsyncEngine, codes: Codes, imports: CodeImport) -> None:
    await done(codes, StoreCodes(POOL, ("SECRET-1",)))
    await imports.run(POOL, b"SECRET-2\n")
    await take(codes, "o-1")
    await done(codes, GiveCodes(POOL, "o-2", "1", ("SECRET-3",)))

    kept = str(await rows(engine, "select * from sealed_codes")) + str(await rows(engine, "select * from codes"))

    assert "SECRET" not in kept and kept.count("TERCES") == 4  # by the test's seals; what staff type is kept twice


async def test_a_code_is_recognised_after_the_process_was_started_again(engine: AsyncEngine, codes: Codes) -> None:
    await done(codes, StoreCodes(POOL, ("A",)))

    again = Codes(engine, timedelta(seconds=1), CodeVault(Seals()))

    assert await done(again, StoreCodes(POOL, ("A",))) == StoreCodes.Done(0, 1)


async def test_codes_are_sealed_again_with_a_new_key_and_recognised_as_before(engine: AsyncEngine) -> None:
    old, both, new = Sealer(["first " * 8]), Sealer(["second " * 8, "first " * 8]), Sealer(["second " * 8])
    await done(Codes(engine, timedelta(seconds=1), CodeVault(old)), StoreCodes(POOL, ("A", "B")))
    lost = Codes(engine, timedelta(seconds=1), CodeVault(new))
    fault = await lost.perform(TakeCode(POOL, "o-1", "1", 1), "k")
    assert isinstance(fault, OperatorFault) and "ORDERBUS_FULFILLMENT__DATA_KEYS" in fault.text

    await SealingAgain(engine, CodeVault(both))(datetime.now(UTC))

    after = Codes(engine, timedelta(seconds=1), CodeVault(new))
    assert await done(after, StoreCodes(POOL, ("A", "C"))) == StoreCodes.Done(1, 1)
    assert await take(after, "o-1", 3) == ("A", "B", "C")


async def test_a_key_that_was_rolled_back_with_its_file_seals_nothing(engine: AsyncEngine) -> None:
    vault = CodeVault(Seals())
    with pytest.raises(BadFile):
        await CodeImport(engine, vault).run(POOL, b"A\n\x07\n")

    await done(Codes(engine, timedelta(seconds=1), vault), StoreCodes(POOL, ("A",)))

    again = Codes(engine, timedelta(seconds=1), CodeVault(Seals()))
    assert await done(again, StoreCodes(POOL, ("A",))) == StoreCodes.Done(0, 1)


async def test_a_key_removed_too_early_stops_no_upkeep_and_no_file_is_half_there(engine: AsyncEngine) -> None:
    old, new = Sealer(["first " * 8]), Sealer(["second " * 8])
    await done(Codes(engine, timedelta(seconds=1), CodeVault(old)), StoreCodes(POOL, ("A",)))
    await clear(engine, "OLD")
    upkeep = SealingOfClearCodes(engine, CodeVault(new))

    for at in (timedelta(), BUILDS_MIX):
        await upkeep(datetime(2026, 5, 1, tzinfo=UTC) + at)

    assert len(await rows(engine, "select 1 from codes")) == 1
    with pytest.raises(CannotOpen):
        await CodeImport(engine, CodeVault(new)).run(POOL, b"B\n")


async def test_codes_whose_key_is_lost_come_back_with_their_file(engine: AsyncEngine) -> None:
    old, both, new = Sealer(["first " * 8]), Sealer(["second " * 8, "first " * 8]), Sealer(["second " * 8])
    await done(Codes(engine, timedelta(seconds=1), CodeVault(old)), StoreCodes(POOL, ("A", "B")))
    assert await take(Codes(engine, timedelta(seconds=1), CodeVault(old)), "o-1") == ("A",)
    (key,) = await rows(engine, "select sealed from vault_keys")
    await rows(engine, "update vault_keys set sealed = :new", new=CodeVault(both).again(key.sealed, "key of codes"))

    result = await CodeImport(engine, CodeVault(new)).run(POOL, b"A\nB\nC\n")

    assert (result.added, result.known_lines) == (2, [1])
    assert await take(Codes(engine, timedelta(seconds=1), CodeVault(new)), "o-2", 2) == ("B", "C")


# Few are left


async def test_how_many_are_left_is_said_below_the_mark_only(engine: AsyncEngine, codes: Codes) -> None:
    await rows(
        engine,
        """
        insert into code_pools (key, version, sequence, data, changed_at)
        values (:key, 1, 1, jsonb_build_object('low_water', 3), now())
        """,
        key=POOL,
    )
    assert await done(codes, StoreCodes(POOL, ("A", "B", "C", "D", "E"))) == StoreCodes.Done(5, 3)

    answers = [await done(codes, TakeCode(POOL, order, "1", 2)) for order in ("o-1", "o-2")]

    assert answers == [TakeCode.Done(("A", "B")), TakeCode.Done(("C", "D"), left=1)]
    assert await done(codes, CountCodes(POOL, 3)) == CountCodes.Done(1)


# Typed by staff


async def test_a_code_that_staff_gave_goes_to_no_other_order(codes: Codes) -> None:
    await done(codes, StoreCodes(POOL, ("A", "B")))

    assert await done(codes, GiveCodes(POOL, "o-1", "1", ("A", "OWN"))) == GiveCodes.Done()
    assert await done(codes, GiveCodes(POOL, "o-1", "1", ("A", "OWN"))) == GiveCodes.Done()
    refused = await done(codes, GiveCodes(POOL, "o-2", "1", ("OWN",)))

    assert isinstance(refused, GiveCodes.Failed) and refused.code == "already_given"
    assert await done(codes, StoreCodes(POOL, ("OWN",))) == StoreCodes.Done(0, 1)
    assert await take(codes, "o-3") == ("B",)
    await done(codes, ReturnCodes(POOL, "o-1", "1"))
    assert set(await take(codes, "o-4", 2)) == {"A", "OWN"}


async def test_a_code_that_staff_gave_is_of_no_other_pool_of_the_store(engine: AsyncEngine, codes: Codes) -> None:
    other, elsewhere = "acme/other", "third/keys"
    pools = "insert into code_pools (key, version, sequence, data, changed_at) values (:key, 1, 1, '{}', now())"
    for key in (POOL, other, elsewhere):
        await rows(engine, pools, key=key)
        await done(codes, StoreCodes(key, ("FREE", "TAKEN")))
    taken = await done(codes, TakeCode(other, "o-9", "1", 2))
    assert taken == TakeCode.Done(("FREE", "TAKEN"))
    await done(codes, ReturnCodes(other, "o-9", "1"))
    await done(codes, GiveCodes(other, "o-9", "1", ("TAKEN",)))

    assert await done(codes, GiveCodes(POOL, "o-1", "1", ("FREE",))) == GiveCodes.Done()
    refused = await done(codes, GiveCodes(POOL, "o-2", "1", ("TAKEN", "OWN")))

    assert isinstance(refused, GiveCodes.Failed) and refused.code == "already_given"
    assert isinstance(await done(codes, TakeCode(other, "o-3", "1", 1)), TakeCode.Failed)
    assert isinstance(await done(codes, TakeCode(POOL, "o-3", "1", 1)), TakeCode.Failed)
    assert await done(codes, GiveCodes(other, "o-4", "1", ("OWN",))) == GiveCodes.Done(), "the refused call kept none"
    assert await done(codes, TakeCode(elsewhere, "o-5", "1", 2)) == TakeCode.Done(("FREE", "TAKEN"))


async def test_two_who_give_one_code_at_once_do_not_both_succeed(codes: Codes) -> None:
    gives = [GiveCodes(f"acme/{pool}", f"o-{pool}", "1", ("OWN",)) for pool in ("keys", "other", "")]
    await done(codes, StoreCodes("acme/keys", ("A",)))

    answers = await asyncio.gather(*(done(codes, give) for give in gives))

    assert sorted(type(answer).__qualname__ for answer in answers) == [
        "GiveCodes.Done",
        "GiveCodes.Failed",
        "GiveCodes.Failed",
    ]


async def test_codes_that_the_customer_has_seen_stay_the_items_when_staff_give_others(codes: Codes) -> None:
    await done(codes, StoreCodes(POOL, ("A",)))
    assert await take(codes, "o-1") == ("A",)

    for _ in range(2):
        assert await done(codes, GiveCodes(POOL, "o-1", "1", ("OWN",), keep=True)) == GiveCodes.Done()

    assert isinstance(await done(codes, TakeCode(POOL, "o-2", "1", 1)), TakeCode.Failed)
    assert await take(codes, "o-1") == ("A", "OWN")


async def test_a_code_given_with_what_is_no_code_comes_with_no_file(codes: Codes, imports: CodeImport) -> None:
    assert await done(codes, GiveCodes("acme/", "o-1", "1", ("OWN",))) == GiveCodes.Done()

    assert (await imports.run(POOL, b"OWN\nA\n")).known == 1
    assert await done(codes, StoreCodes(POOL, ("OWN",))) == StoreCodes.Done(0, 1)


# Files


async def test_a_file_is_added_with_its_repetitions_reported(codes: Codes, imports: CodeImport) -> None:
    await done(codes, StoreCodes(POOL, ("B",)))

    result = await imports.run(POOL, "\ufeffA\r\nB\r\n\r\n A \nÇ\n".encode())

    assert (result.lines, result.added, result.left) == (4, 2, 1)
    assert (result.repeated, result.repeated_lines, result.known, result.known_lines) == (1, [4], 1, [2])
    assert await take(codes, "o-1", 3) == ("B", "A", "Ç")
    again = await imports.run(POOL, b"A\nB\n")
    assert (again.added, again.known, again.known_lines) == (0, 2, [1, 2])


async def test_csv_has_its_codes_in_the_column_of_that_name(codes: Codes, imports: CodeImport) -> None:
    result = await imports.run(POOL, b'Name,Code\r\n"Game, gold","A ""1"""\r\nSilver,B\r\n')

    assert result.added == 2
    assert await take(codes, "o-1", 2) == ('A "1"', "B")


async def test_a_file_with_wrong_lines_adds_nothing_and_names_them_all(
    engine: AsyncEngine, imports: CodeImport
) -> None:
    with pytest.raises(BadFile) as bad:
        await imports.run(POOL, b"A\nB\x07\n" + b"C" * 201 + b"\nD\n")

    assert [(one.line, one.text) for one in bad.value.problems] == [
        (2, "has control characters in its code"),
        (3, "has a code of more than 200 characters"),
    ]
    assert await rows(engine, "select 1 from sealed_codes") == []
    for file, line, text in (
        (b"A\n\xff\n", 2, "not UTF-8"),
        (b"name,code\nx\n", 2, "no code"),
        (b'a,"b\n', 1, "not CSV"),
    ):
        with pytest.raises(BadFile) as bad:
            await imports.run(POOL, file)
        assert bad.value.problems[0].line == line and text in bad.value.problems[0].text


async def test_a_file_larger_than_a_batch_and_two_at_once_add_each_code_once(
    engine: AsyncEngine, imports: CodeImport
) -> None:
    file = "\n".join(f"CODE-{number:08}" for number in range(45_000)).encode()
    other = CodeImport(engine, CodeVault(Seals()))

    file += b"\nCODE-00000007\nCODE-00044999"

    results = await asyncio.gather(imports.run(POOL, file), other.run(POOL, file))

    assert sorted((result.added, result.repeated, result.known) for result in results) == [
        (0, 1, 45_001),
        (45_000, 2, 0),
    ]


# Codes in clear


async def test_codes_in_clear_are_taken_first_and_never_twice(engine: AsyncEngine, codes: Codes) -> None:
    await clear(engine, "OLD-1", "OLD-2")
    await clear(engine, "GIVEN", order="o-0")
    assert await done(codes, StoreCodes(POOL, ("OLD-1", "GIVEN", "NEW"))) == StoreCodes.Done(1, 1)

    assert await take(codes, "o-1", 3) == ("OLD-1", "OLD-2", "NEW")
    assert await take(codes, "o-1", 3) == ("OLD-1", "OLD-2", "NEW")
    assert await take(codes, "o-0") == ("GIVEN",)
    empty = await done(codes, TakeCode(POOL, "o-2", "1", 1))
    assert isinstance(empty, TakeCode.Failed) and empty.code == POOL_EMPTY


async def test_a_code_that_an_older_worker_added_again_goes_to_no_second_order(
    engine: AsyncEngine, codes: Codes
) -> None:
    await done(codes, StoreCodes(POOL, ("A", "B")))
    assert await take(codes, "o-1") == ("A",)
    await clear(engine, "A", "B", "C")

    assert await take(codes, "o-2", 2) == ("C", "B")
    assert isinstance(await done(codes, TakeCode(POOL, "o-3", "1", 1)), TakeCode.Failed)


async def test_codes_in_clear_are_sealed_with_whom_they_belong_to(engine: AsyncEngine, codes: Codes) -> None:
    await clear(engine, "GIVEN", order="o-0")
    await clear(engine, *(f"OLD-{number:04}" for number in range(1005)))
    upkeep = SealingOfClearCodes(engine, CodeVault(Seals()))
    started = datetime(2026, 5, 1, tzinfo=UTC)

    await upkeep(started)
    assert len(await rows(engine, "select 1 from codes")) == 1006, "an older worker may still give them out"
    await upkeep(started + BUILDS_MIX)

    assert await rows(engine, "select 1 from codes") == []
    assert await take(codes, "o-0") == ("GIVEN",)
    assert await take(codes, "o-1", 2) == ("OLD-0000", "OLD-0001")


async def test_codes_are_taken_once_while_they_are_being_sealed(engine: AsyncEngine, codes: Codes) -> None:
    await clear(engine, *(f"OLD-{number}" for number in range(60)))

    async def buy(order: str) -> tuple[str, ...]:
        while True:
            answer = await codes.perform(TakeCode(POOL, order, "1", 2), "k")
            if isinstance(answer, TakeCode.Done):
                return answer.codes
            await asyncio.sleep(0.01)

    bought, _, _ = await asyncio.gather(
        asyncio.gather(*(buy(f"o-{order}") for order in range(30) for _ in range(2))),
        seal_clear_codes(engine, CodeVault(Seals())),
        seal_clear_codes(engine, CodeVault(Seals())),
    )

    given = [code for pair in set(bought) for code in pair]
    assert len(set(bought)) == 30 and len(set(given)) == len(given) == 60
