"""Codes that customers were told go to no other after a restore. On PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.check.lost_key import NothingLost, forget_lost_key
from deploy.check.reclaim import Told, mark_told
from services.fulfillment.domain.operations import StoreCodes, TakeCode
from services.fulfillment.gateways.code_import import CodeImport
from services.fulfillment.gateways.code_vault import CodeVault
from services.fulfillment.gateways.codes import Codes
from shared.core import OperatorFault
from shared.shell.sealer import Sealer
from tests.integration.seals import Seals
from tests.integration.test_sealed_codes import POOL, clear, codes, done, engine, imports, take

__all__ = ["codes", "engine", "imports"]


async def test_codes_that_customers_have_go_to_no_other_after_a_restore(
    engine: AsyncEngine, codes: Codes, imports: CodeImport
) -> None:
    await done(codes, StoreCodes(POOL, ("FREE", "TOLD")))
    await clear(engine, "OLD")
    told = [Told("o-1", "1", unit, code) for unit, code in enumerate(("TOLD", "OLD", "LATE", "OF-A-FILE"), 1)]
    vault = CodeVault(Seals())

    for expected in ((3, [("o-1", "1")]), (0, [])):
        async with engine.begin() as connection:
            await vault.unlock(connection)
            assert await mark_told(connection, vault, told, {"LATE": {POOL}}) == expected

    again = await imports.run(POOL, b"OF-A-FILE\nLATE\nOTHER\n")
    assert (again.added, again.known_lines) == (1, [1, 2])
    assert await done(codes, StoreCodes(POOL, ("OF-A-FILE",))) == StoreCodes.Done(0, 1)
    assert await take(codes, "o-2", 2) == ("FREE", "OTHER")


async def test_all_codes_that_an_item_was_ever_told_are_its_own_after_a_restore(
    engine: AsyncEngine, codes: Codes, imports: CodeImport
) -> None:
    """By hand, and granted again from the pool."""
    await done(codes, StoreCodes(POOL, ("A", "B", "C")))
    assert await take(codes, "o-1") == ("A",)
    told = [Told("o-1", "1", unit, code) for unit, code in enumerate(("BY-HAND", "A", "B", "ALSO-BY-HAND"), 1)]
    vault = CodeVault(Seals())

    async with engine.begin() as connection:
        await vault.unlock(connection)
        assert (await mark_told(connection, vault, told, {}))[0] == 1

    assert (await imports.run(POOL, b"BY-HAND\nALSO-BY-HAND\n")).known == 2
    assert await take(codes, "o-2") == ("C",)


async def test_a_data_key_that_is_lost_for_good_is_forgotten_and_no_code_goes_to_a_second_customer(
    engine: AsyncEngine,
) -> None:
    lost, vault = CodeVault(Sealer(["lost " * 8])), CodeVault(Sealer(["new " * 8]))
    before, after = (Codes(engine, timedelta(seconds=1), each) for each in (lost, vault))
    await done(before, StoreCodes(POOL, ("A", "B", "C")))
    assert await take(before, "o-1") == ("A",)
    stuck = await after.perform(TakeCode(POOL, "o-2", "1", 1), "k")
    assert isinstance(stuck, OperatorFault) and "orderbus reclaim-codes --forget-lost-key" in stuck.text

    forgotten = await forget_lost_key(engine, vault)
    async with engine.begin() as connection:
        await mark_told(connection, vault, [Told("o-1", "1", 1, "A")], {"A": forgotten.pools["o-1", "1"]})

    assert forgotten.removed == {POOL: 2}
    result = await CodeImport(engine, vault).run(POOL, b"A\nB\nC\n")
    assert (result.added, result.known_lines) == (2, [1])
    assert await take(after, "o-1") == ("A",)
    assert await take(after, "o-2", 2) == ("B", "C")
    with pytest.raises(NothingLost):
        await forget_lost_key(engine, CodeVault(Sealer(["new " * 8])))
