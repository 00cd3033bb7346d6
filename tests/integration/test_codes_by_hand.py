"""Codes that staff type go to no second customer, whatever is added to whichever pool. On PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.domain.operations import GiveCodes, ReturnCodes, StoreCodes, TakeCode
from services.fulfillment.gateways.code_import import CodeImport
from services.fulfillment.gateways.code_vault import CodeVault
from services.fulfillment.gateways.codes import Codes
from tests.integration.seals import Seals
from tests.integration.test_sealed_codes import POOL, codes, done, engine, imports, rows, take

__all__ = ["codes", "engine", "imports"]
OTHER = "acme/other"


async def test_a_code_that_staff_typed_for_one_pool_is_added_to_no_other(codes: Codes, imports: CodeImport) -> None:
    assert await done(codes, GiveCodes(POOL, "o-1", "1", ("TYPED",))) == GiveCodes.Done()

    assert await done(codes, StoreCodes(OTHER, ("TYPED", "A"))) == StoreCodes.Done(1, 1)
    result = await imports.run(OTHER, b"TYPED\nB\n")

    assert (result.added, result.known_lines) == (1, [1])
    answer = await done(codes, TakeCode(OTHER, "o-2", "1", 2))
    assert isinstance(answer, TakeCode.Done) and answer.codes == ("A", "B")
    assert isinstance(await done(codes, GiveCodes(OTHER, "o-3", "1", ("TYPED",))), GiveCodes.Failed)


async def test_what_returns_unseen_can_be_given_to_others(codes: Codes) -> None:
    await done(codes, GiveCodes(POOL, "o-1", "1", ("TYPED",)))
    await done(codes, ReturnCodes(POOL, "o-1", "1"))
    assert await done(codes, GiveCodes(OTHER, "o-2", "1", ("TYPED",))) == GiveCodes.Done()
    assert isinstance(await done(codes, TakeCode(POOL, "o-3", "1", 1)), TakeCode.Failed)


async def test_others_typed_instead_leave_no_trace_of_the_first(codes: Codes) -> None:
    await done(codes, GiveCodes(POOL, "o-1", "1", ("FIRST",)))
    await done(codes, GiveCodes(POOL, "o-1", "1", ("SECOND",)))
    assert await take(codes, "o-2") == ("FIRST",)
    assert await done(codes, StoreCodes(OTHER, ("SECOND",))) == StoreCodes.Done(0, 0)


async def test_what_is_typed_while_it_is_added_goes_to_one(engine: AsyncEngine) -> None:
    """Both at once, by two workers."""
    one, other = (Codes(engine, timedelta(seconds=1), CodeVault(Seals())) for _ in range(2))
    for number in range(30):
        typed = f"C{number}"
        await asyncio.gather(
            done(one, GiveCodes("acme/", f"o-{number}", "1", (typed,))),
            done(other, StoreCodes(POOL, (typed, f"D{number}"))),
        )

    free = await rows(engine, "select 1 from sealed_codes where key = :pool and order_key is null", pool=POOL)
    assert len(free) == 30, "the others"
