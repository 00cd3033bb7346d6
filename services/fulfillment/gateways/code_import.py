"""Codes of a file: read, sealed and copied into a pool, all of them or none.

A file is UTF-8, with a code per line, or CSV (RFC 4180; with a heading also separated by semicolons or tabs) with the
code in the first column, or in that called `code` or the like.
Lines that are wrong refuse the whole file, with the numbers of the first ones; codes that the file repeats, or that the
pool has already, are left out and reported, so that a file can be imported again.
"""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.fulfillment.gateways.clear_codes import known_in_clear
from services.fulfillment.gateways.code_vault import CodeVault
from services.fulfillment.gateways.codes import LEFT, LOCK, LOCK_STORE, no_pool
from shared.contracts.text import one_line

MAX_BYTES = 50_000_000
"""Of a file."""
MAX_CODE = 200
"""Characters of a code: those that fit into the customer's message."""
HEADINGS = frozenset(
    {
        *("code", "codes", "key", "keys", "redemption code", "redemption_code", "product key", "product_key", "serial"),
        *(
            "license key",
            "license_key",
            "licence key",
            "voucher",
            "voucher code",
            "voucher_code",
            "coupon",
            "coupon code",
        ),
    }
)
"""What a column of codes is called, in any case. None of them is a code."""
SEPARATORS = ",;\t"
_SUSPECT = frozenset("=0123456789")
_SHORTENED = re.compile(r"\d[.,]\d+E\+\d+")
_UNSEEN = re.compile(r"[\xad\u200b-\u200f\u2060-\u2064\ufeff]")
SHOWN = 20
"""Lines of each sort of problem and repetition that are named."""
AT_A_TIME = 20_000
_KNOWN = sa.text("""
    select digest, sealed, key = :pool and order_key is null as free,
        cast(cast(xmin as text) as bigint) = mod(txid_current(), 4294967296) as repeated
    from sealed_codes where key in (:pool, '', :no_pool) and digest = any(cast(:digests as bytea[]))
""").bindparams(sa.bindparam("digests", type_=postgresql.ARRAY(sa.LargeBinary)))
_SEAL_AGAIN = sa.text("update sealed_codes set sealed = :new where key = :pool and digest = :digest")
_TIME = "set local statement_timeout = '600s'"


@dataclass(frozen=True, slots=True)
class BadLine:
    line: int
    text: str


class BadFile(Exception):
    """Nothing of it was added."""

    def __init__(self, problems: Sequence[BadLine], count: int) -> None:
        """`problems`: the first ones; `count`: of all."""
        super().__init__(f"{count} lines are wrong")
        self.problems, self.count = problems, count


@dataclass(slots=True)
class CodesOfFile:
    """What an import did. Lines are numbers from 1, of the first ones of a sort."""

    lines: int = 0
    """That have a code."""
    added: int = 0
    """Codes that are new in the pool."""
    repeated: int = 0
    """Codes that the file has already further up."""
    repeated_lines: list[int] = field(default_factory=list)
    """The first lines with such codes."""
    known: int = 0
    """Codes that the pool has, or that a customer was given before a restore."""
    known_lines: list[int] = field(default_factory=list)
    """The first lines with such codes."""
    left: int = 0
    """Codes that are free afterwards, counted up to the pool's low-water mark."""


Row = tuple[int, str]
"""Line and code."""


def rows_of(file: bytes) -> Iterator[Row]:
    """Lines that are not empty. Raises BadFile, after the last line, with all lines that are wrong."""
    problems: list[BadLine] = []
    count = 0
    for line, code in _cells(file):
        wrong = wrong_code(code)
        if wrong:
            count += 1
            if len(problems) < SHOWN:
                problems.append(BadLine(line, wrong))
        else:
            yield line, code
    if count:
        raise BadFile(problems, count)


def wrong_code(code: str) -> str:
    """What is wrong about it; empty: nothing."""
    if not code:
        return "has no code in its column"
    if len(code) > MAX_CODE:
        return f"has a code of more than {MAX_CODE} characters"
    if code.isprintable() and code[0] not in _SUSPECT:
        return ""
    return _spoilt(code)


def _spoilt(code: str) -> str:
    """Of few codes: that begins as spoilt ones do, or has what is not printable."""
    if code.startswith("="):
        return "has a formula of a spreadsheet: export its values"
    if _SHORTENED.fullmatch(code):
        return "has a number that a spreadsheet has shortened: export its column as text"
    if _UNSEEN.search(code):
        return "has characters in its code that cannot be seen"
    try:
        one_line(code)
    except ValueError:
        return "has control characters in its code"
    return ""


def _cells(file: bytes) -> Iterator[Row]:
    """Raises BadFile for what is no text, or no CSV."""
    try:
        text = file.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.count(b"\n", 0, error.start) + 1
        raise BadFile([BadLine(line, "is not UTF-8")], 1) from None
    first = text.partition("\n")[0].strip()
    separator = next((one for one in SEPARATORS if HEADINGS & set(_names(first.split(one)))), ",")
    if '"' in text or separator in first:
        yield from _csv_cells(text, separator)
        return
    for number, whole in enumerate(io.StringIO(text, newline="\n"), 1):
        code = whole.strip()
        if code and not (number == 1 and code.casefold() in HEADINGS):
            yield number, code


def _names(cells: Sequence[str]) -> list[str]:
    """As column headings are compared."""
    return [cell.strip().strip('"').strip().casefold() for cell in cells]


def _csv_cells(text: str, separator: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    column = 0
    try:
        for number, cells in enumerate(reader):
            names = _names(cells)
            if number == 0 and HEADINGS & set(names):
                heading = "code" if "code" in names else next(name for name in names if name in HEADINGS)
                column = names.index(heading)
            elif any(names):
                yield reader.line_num, cells[column].strip() if column < len(cells) else ""
    except csv.Error as error:
        raise BadFile([BadLine(reader.line_num, f"is not CSV: {error}")], 1) from None


class CodeImport:
    """One at a time in each worker, since a file is in memory while it is read."""

    def __init__(self, engine: AsyncEngine, vault: CodeVault) -> None:
        self._engine, self._vault = engine, vault
        self.turn = asyncio.Lock()

    async def run(self, pool: str, file: bytes) -> CodesOfFile:
        """`pool`: key, `<store>/<pool>`. Raises BadFile, and what the database raises."""
        result = CodesOfFile()
        rows = rows_of(file)
        async with self._engine.begin() as connection:
            await connection.execute(sa.text(_TIME))
            await self._vault.unlock(connection)
            await connection.execute(LOCK_STORE, {"no_pool": no_pool(pool)})
            await connection.execute(LOCK, {"pool": pool})
            following = asyncio.ensure_future(asyncio.to_thread(self._next, rows))
            try:
                while some := await following:
                    following = asyncio.ensure_future(asyncio.to_thread(self._next, rows))  # while these are copied
                    await self._add(connection, pool, some, result)
            finally:
                await asyncio.wait([following])
            result.left = (await connection.execute(LEFT, {"pool": pool})).scalar_one()
        return result

    async def _add(
        self, connection: AsyncConnection, pool: str, rows: Sequence[tuple[bytes, Row]], result: CodesOfFile
    ) -> None:
        result.lines += len(rows)
        new: dict[bytes, Row] = {}
        for digest, row in rows:
            if new.setdefault(digest, row) is not row:
                result.repeated += 1
                _note(result.repeated_lines, row[0])
        # Those in clear first: meanwhile they could be sealed.
        clear = await known_in_clear(connection, pool, [code for _, code in new.values()])
        values = {"pool": pool, "no_pool": no_pool(pool), "digests": [*new]}
        known = (await connection.execute(_KNOWN, values)).all()
        repeated = {row.digest: row.repeated for row in known}
        unread = {row.digest for row in known if row.free and not self._vault.can_open(row.sealed, pool)}
        if unread:  # the key that sealed them is lost; the file has them again
            again = [{"pool": pool, "digest": one, "new": self._vault.seal(new.pop(one)[1], pool)} for one in unread]
            await connection.execute(_SEAL_AGAIN, again)
            result.added += len(again)
        for digest in [digest for digest, (_, code) in new.items() if digest in repeated or code in clear]:
            line = new.pop(digest)[0]
            if repeated.get(digest):
                result.repeated += 1
                _note(result.repeated_lines, line)
            else:
                result.known += 1
                _note(result.known_lines, line)
        result.added += len(new)
        records = await asyncio.to_thread(self._records, pool, new)
        await _copy(connection, records)

    def _next(self, rows: Iterator[Row]) -> list[tuple[bytes, Row]]:
        """Some of them, with the digests of their codes."""
        digest = self._vault.digest
        return [(digest(row[1]), row) for _, row in zip(range(AT_A_TIME), rows, strict=False)]

    def _records(self, pool: str, new: dict[bytes, Row]) -> list[tuple[str, bytes, bytes]]:
        seal = self._vault.seal
        return [(pool, digest, seal(code, pool)) for digest, (_, code) in new.items()]


def _note(lines: list[int], line: int) -> None:
    if len(lines) < SHOWN:
        lines.append(line)


async def _copy(connection: AsyncConnection, records: Sequence[tuple[str, bytes, bytes]]) -> None:
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, asyncpg.Connection)
    await driver.copy_records_to_table("sealed_codes", records=records, columns=["key", "digest", "sealed"])
