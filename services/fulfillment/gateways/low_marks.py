"""Whether a pool has fewer free codes than its low-water mark, without counting them each time.

Codes are taken in the order of their numbers. So while those with a number from some place on are free, and they are
as many as the mark says, there are enough; only who takes one from there on counts again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

LOOKED_AGAIN_AFTER = 60.0
"""Seconds. Codes that staff typed, or that left the pool for another, have any number."""
MOST_POOLS = 10_000
MARK = "coalesce((select cast(data ->> 'low_water' as bigint) from code_pools where key = :pool), 0)"
"""The pool's low-water mark."""
TOLD = """(
    select cast(data ->> 'told' as timestamptz) > clock_timestamp() - interval '22 hours' from code_pools
    where key = :pool
)"""
"""Whether staff were told of it lately: they are again after a day (`domain/low_pools.py`)."""
_PLACE = sa.text("""
    select number from sealed_codes where key = :pool and order_key is null order by number desc offset :skip limit 1
""").bindparams(sa.bindparam("skip", type_=sa.BigInteger))
_FEW = sa.text(
    "select count(*) from (select from sealed_codes where key = :pool and order_key is null limit :most) few"
).bindparams(sa.bindparam("most", type_=sa.BigInteger))


class _Enough(NamedTuple):
    mark: int
    place: int
    """From this number on as many codes were free as the mark says."""
    at: float


class LowMarks:
    """Of one worker."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._enough: dict[str, _Enough] = {}

    async def left(self, connection: AsyncConnection, pool: str, mark: int, number: int) -> int | None:
        """The free codes, where they are fewer than the mark. `number`: the highest of those that were just taken."""
        known, now = self._enough.get(pool), self._clock()
        if known and known.mark == mark and number < known.place and now - known.at < LOOKED_AGAIN_AFTER:
            return None
        found = (await connection.execute(_PLACE, {"pool": pool, "skip": mark - 1})).scalar_one_or_none()
        if found is not None:
            if len(self._enough) >= MOST_POOLS:
                self._enough.clear()
            self._enough[pool] = _Enough(mark, found, now)
            return None
        self._enough.pop(pool, None)
        left: int = (await connection.execute(_FEW, {"pool": pool, "most": mark})).scalar_one()
        return left
