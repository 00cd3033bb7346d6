"""Which orders take the codes of a pool, and when it is found low. On PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.domain.operations import POOL_EMPTY, GiveCodes, ReturnCodes, StoreCodes, TakeCode
from services.fulfillment.gateways.code_claims import ForgettingClaims
from services.fulfillment.gateways.code_vault import CodeVault
from services.fulfillment.gateways.codes import Codes
from tests.integration.seals import Seals
from tests.integration.test_sealed_codes import POOL, codes, done, engine, rows, take

__all__ = ["codes", "engine"]


async def pool_with_mark(engine: AsyncEngine, mark: int, told: datetime | None = None) -> None:
    statement = """
        insert into code_pools (key, version, sequence, data, changed_at)
        values (:key, 1, 1, jsonb_build_object('low_water', cast(:mark as int), 'told', cast(:told as text)), now())
        on conflict (key) do update set data = excluded.data
    """
    await rows(engine, statement, key=POOL, mark=mark, told=told.isoformat() if told else None)


async def left(codes: Codes, order: str) -> int | None:
    """After it took one."""
    answer = await done(codes, TakeCode(POOL, order, "1", 1))
    assert isinstance(answer, TakeCode.Done), answer
    return answer.left


async def test_who_takes_the_last_before_the_mark_says_so_whatever_others_take(engine: AsyncEngine) -> None:
    """Two workers, of which each looks only now and then."""
    one, other = (Codes(engine, timedelta(seconds=1), CodeVault(Seals())) for _ in range(2))
    await pool_with_mark(engine, 10)
    await done(one, StoreCodes(POOL, tuple(f"C{number}" for number in range(30))))

    assert [await left((one, other)[n % 2], f"o-{n}") for n in range(23)] == [*[None] * 20, 9, 8, 7]
    await done(other, StoreCodes(POOL, tuple(f"D{number}" for number in range(5))))
    assert [await left((one, other)[n % 2], f"p-{n}") for n in range(4)] == [None, None, 9, 8]
    await pool_with_mark(engine, 10, told=datetime.now(UTC))
    assert await left(one, "q") is None
    await pool_with_mark(engine, 6)
    assert [await left(one, f"r-{n}") for n in range(2)] == [None, 5]


async def too_few(codes: Codes, order: str, quantity: int = 1) -> str:
    answer = await done(codes, TakeCode(POOL, order, "1", quantity))
    assert isinstance(answer, TakeCode.Failed) and answer.code == POOL_EMPTY, answer
    return answer.text


async def waited(engine: AsyncEngine, order: str, **columns: str) -> None:
    """`columns`: how long ago."""
    for column, ago in columns.items():
        statement = f"update code_claims set {column} = now() - cast(:ago as text)::interval where order_key = :order"
        await rows(engine, statement, order=order, ago=ago)


async def test_a_big_order_is_overtaken_for_a_day_at_most(engine: AsyncEngine, codes: Codes) -> None:
    await done(codes, StoreCodes(POOL, ("A", "B", "C", "D")))
    await too_few(codes, "big", 5)
    assert await take(codes, "small-1") == ("A",)
    await waited(engine, "big", since="25 hours")

    assert "keeps 5 codes" in await too_few(codes, "small-2")
    assert "keeps 5 codes" in await too_few(codes, "new")
    assert await take(codes, "small-1") == ("A",)  # repeated: it has them
    await done(codes, StoreCodes(POOL, ("E", "F", "G")))
    assert await take(codes, "small-2") == ("B",)  # there are enough for both
    await too_few(codes, "new", 1)
    assert await take(codes, "big", 5) == ("C", "D", "E", "F", "G")
    assert await rows(engine, "select order_key from code_claims") == [("new",)]


async def test_nothing_is_kept_for_an_order_that_waits_no_more(engine: AsyncEngine, codes: Codes) -> None:
    await done(codes, StoreCodes(POOL, ("A",)))
    await too_few(codes, "cancelled", 5)
    await waited(engine, "cancelled", since="25 hours", seen_at="11 minutes")
    assert await take(codes, "small") == ("A",)

    await ForgettingClaims(engine)(datetime.now(UTC))
    assert len(await rows(engine, "select 1 from code_claims")) == 1
    await waited(engine, "cancelled", seen_at="25 hours")
    await ForgettingClaims(engine)(datetime.now(UTC))
    assert not await rows(engine, "select 1 from code_claims")


async def test_nothing_is_kept_for_an_item_that_has_got_codes_otherwise(engine: AsyncEngine, codes: Codes) -> None:
    """Or whose codes return: it is cancelled, or has another pool."""
    await done(codes, StoreCodes(POOL, ("A", "B")))
    for number, end in enumerate((GiveCodes(POOL, "big", "1", ("V", "W", "X")), ReturnCodes(POOL, "big", "1"))):
        await too_few(codes, "big", 5)
        await waited(engine, "big", since="25 hours")
        await too_few(codes, f"small-{number}")

        await done(codes, end)

        assert len(await take(codes, f"small-{number}")) == 1
        await rows(engine, "delete from sealed_codes where order_key = 'big'")


async def test_two_at_once_do_not_both_take_what_is_left_over(engine: AsyncEngine, codes: Codes) -> None:
    await too_few(codes, "big", 5)
    await waited(engine, "big", since="25 hours")
    await done(codes, StoreCodes(POOL, tuple("ABCDEF")))

    answers = await asyncio.gather(*(done(codes, TakeCode(POOL, f"small-{n}", "1", 1)) for n in range(6)))

    assert sum(isinstance(answer, TakeCode.Done) for answer in answers) == 1
    assert len(await take(codes, "big", 5)) == 5
