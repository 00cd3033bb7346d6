"""Finished orders as originals of copies: all that services wrote of them, and where in it their ids stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import asyncpg
import orjson

from deploy.check.evidence import readers
from deploy.check.facts import holds_of
from deploy.check.topics import Topics, read
from deploy.devstack.stack import Stack
from deploy.sandboxes.stripe.journal import Journal
from services.declared import declared
from services.fulfillment.domain.delivery import Delivery
from services.registry import SERVICES
from shared.contracts import TOPICS
from shared.contracts.envelope import BadMessage
from shared.core import codec
from shared.core.ids import lowest_id
from shared.settings import KafkaSettings
from shared.shell.service.registry import HandlerRegistry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNED = {
    "checkout": {"orders": "key"},
    "payments": {"payments": "key", "ledger_entries": "key", "attempts": "key", "refunds": "key"},
    "fulfillment": {"deliveries": "key", "codes": "order_key"},
    "notifications": {
        **{"notification_logs": "key", "feed_entries": "order_id"},
        **{"email_attempts": "key", "delivery_attempts": "key"},
    },
}
"""By service, the tables with rows of orders, and the column with the order's id."""
TEMPLATES = 100
"""The most originals."""
IDS = (
    r"[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    r"|(?<![0-9a-f])[0-9a-f]{12}[78][0-9a-f]{3}[89ab][0-9a-f]{15}(?![0-9a-f])"
    r"|(?:pi_3|ch_3|re_3|txn_3|pm_1|tok_1|cus_|seti_1)[0-9a-f]{20}"
    r"|ORD-[0-9A-Z]{6,}"
)
SEPARATOR = "\x1e"
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass
class Shape:
    """A text, and where in it the ids of an order stand."""

    format: str
    pick: Any

    def filled(self, ids: Sequence[str]) -> str:
        text: str = self.format % self.pick(ids)
        return text


@dataclass
class Template:
    """A finished order."""

    key: str
    ids: dict[str, int] = field(default_factory=dict)
    """Each with its place among the ids of a copy."""
    codes: list[str] = field(default_factory=list)
    rows: dict[tuple[str, str], str] = field(default_factory=dict)
    """Lines of COPY, by service and table."""
    records: list[Any] = field(default_factory=list)
    books: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    holds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    shapes: dict[tuple[str, str], Shape] = field(default_factory=dict)
    texts: Shape | None = None
    stripe: Shape | None = None

    def make(self) -> None:
        """Find the ids in all texts."""
        known = "|".join(sorted(map(re.escape, self.codes), key=len, reverse=True))
        pattern = re.compile(f"{IDS}|{known}" if known else IDS)
        self.shapes = {place: self._shape(pattern, text) for place, text in self.rows.items()}
        texts = [text for record in self.records for text in _texts(record)]
        self.texts = self._shape(pattern, SEPARATOR.join(texts))
        self.stripe = self._shape(pattern, orjson.dumps(self.books).decode())

    def _shape(self, pattern: re.Pattern[str], text: str) -> Shape:
        found = [self.ids.setdefault(id, len(self.ids)) for id in pattern.findall(text)]
        form = pattern.sub("\0", text).replace("%", "%%").replace("\0", "%s")
        return Shape(form, _picker(found))

    def copy_ids(self, number: int, seconds: int) -> list[str]:
        """Those of copy `number`, `seconds` older than the original's."""
        salt = (number * 0x9E3779B97F4A7C15) & 0x3FFFFFFFFFFFFFFF
        back = lowest_id(NOW).int - lowest_id(NOW - timedelta(seconds=seconds)).int
        return [_other(id, number, salt, back) for id in self.ids]


def _picker(places: Sequence[int]) -> Any:
    if not places:
        return lambda ids: ()
    pick = itemgetter(*places)
    return pick if len(places) > 1 else lambda ids: (pick(ids),)


def _other(id: str, number: int, salt: int, back: int) -> str:
    if len(id) in (32, 36) and "_" not in id and not id.startswith("ORD"):
        hexadecimal = id.replace("-", "")
        value = int(hexadecimal, 16) ^ salt
        text = f"{value - back if hexadecimal[12] == '7' else value:032x}"
        return text if len(id) == 32 else f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    if id.startswith("ORD-"):
        return "ORD-" + _digits(number, len(id) - 4)
    prefix, _, rest = id.rpartition("_")
    if prefix:
        return f"{prefix}_{rest[0]}{number:09x}{rest[10:]}"
    return f"{id}-{_digits(number, 6)}"


def _digits(number: int, length: int) -> str:
    text = ""
    for _ in range(length):
        number, digit = divmod(number, 32)
        text = DIGITS[digit] + text
    return text


def _texts(record: Any) -> Iterator[str]:
    """Of a record, the texts with ids: its body, its headers."""
    yield (record.value or b"").decode()
    for _, value in record.headers:
        yield value.decode()


# What there is


class Originals:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.settings = KafkaSettings(bootstrap_servers=stack.kafka.bootstrap_servers)
        self.templates: dict[str, Template] = {}

    async def read(self) -> None:
        await self._keys()
        await self._records()
        for service, tables in OWNED.items():
            connection = await asyncpg.connect(self.stack.postgres.url(service))
            try:
                for table, owner in tables.items():
                    await self._rows(connection, service, table, owner)
                await self._inbox(connection, service)
            finally:
                await connection.close()
        self._books()
        for template in self.templates.values():
            template.make()

    async def _keys(self) -> None:
        """Orders of which nothing is under way."""
        moving: set[str] = set()
        for service in SERVICES:
            rows = await self._fetch(service, "select key from operations union select key from timers")
            moving |= {row[0] for row in rows}
        for (key,) in await self._fetch("checkout", "select key from orders where data is not null order by key"):
            if key not in moving and len(self.templates) < TEMPLATES:
                self.templates[key] = Template(key)
        deliveries = "select key, data from deliveries where data is not null"
        for key, data in await self._fetch("fulfillment", deliveries):
            if key in self.templates:
                self.templates[key].holds = holds_of(codec.load(Delivery, data))
        for key, code in await self._fetch(
            "fulfillment", "select order_key, code from codes where order_key is not null"
        ):
            if key in self.templates:
                self.templates[key].codes.append(code)

    async def _records(self) -> None:
        async with Topics(self.settings, [topic.name for topic in TOPICS]) as topics:
            async for records in topics.read(topics.first):
                for record in records:
                    template = self.templates.get((record.key or b"").decode("utf-8", "replace"))
                    if template is not None:
                        template.records.append(record)

    async def _rows(self, connection: asyncpg.Connection, service: str, table: str, owner: str) -> None:
        names = ", ".join(await columns_of(connection, table))
        for key, template in self.templates.items():
            lines = bytearray()

            async def take(data: bytes, lines: bytearray = lines) -> None:
                lines.extend(data)

            await connection.copy_from_query(f"select {names} from {table} where {owner} = $1", key, output=take)
            template.rows[service, table] = lines.decode()

    async def _inbox(self, connection: asyncpg.Connection, service: str) -> None:
        registries = {name: HandlerRegistry(declared()[name]) for name in SERVICES}
        wanted = readers(registries)
        for template in self.templates.values():
            ids = []
            for record in template.records:
                try:
                    seen = read(record)
                except BadMessage:
                    continue
                if service in wanted.get((seen.topic, seen.kind), ()):
                    ids.append(seen.identity)
            # A copy's content is another one; 0 is compared with none.
            query = "select message_id, seen_at from inbox where message_id = any($1)"
            found = await connection.fetch(query, ids)
            lines = [f"{row[0]}\t{row[1].isoformat()}\t0\n" for row in found]
            template.rows[service, "inbox"] = "".join(lines)

    def _books(self) -> None:
        """The latest of every Stripe object of an order."""
        latest: dict[str, tuple[str, dict[str, Any]]] = {}
        journal = Journal(self.stack.data / "stripe" / "stripe.journal")
        try:
            for kind, _, payload in journal.replay():
                if kind == "C":
                    latest |= {values["id"]: (name, values) for name, values in orjson.loads(payload)}
        finally:
            journal.close()
        owners: dict[str, str] = {}
        for id, (_, values) in latest.items():
            order = (values.get("metadata") or {}).get("order")
            if order in self.templates:
                owners[id] = order
        for id, (_, values) in latest.items():
            for named in ("intent", "charge", "source", "payment_intent"):
                if values.get(named) in owners:
                    owners.setdefault(id, owners[values[named]])
        for id, order in owners.items():
            self.templates[order].books.append(latest[id])

    async def _fetch(self, service: str, query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.stack.postgres.url(service))
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query)
            return rows
        finally:
            await connection.close()


async def columns_of(connection: asyncpg.Connection, table: str) -> list[str]:
    """Those that are not made by the database."""
    query = (
        "select column_name from information_schema.columns where table_name = $1 and table_schema = 'public' "
        "and is_identity = 'NO' order by ordinal_position"
    )
    return [row[0] for row in await connection.fetch(query, table)]
