"""Records and rows that cannot be read, and that must hold nothing else up: arbitrary bytes, headers without a value,
unknown types, ids used again for something else, records of aborted transactions, unreadable timers and operations,
records that the broker refuses for good, topics that are missing for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import orjson

from deploy.simulation.world import UNREADABLE, World
from shared.contracts.storefront import CheckoutSubmitted
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.rows import OperationRow, OutboxRow, ParkedRow, TimerRow
from shared.simulation.bus import Position
from shared.simulation.memory_database import OPERATIONS, OUTBOX, TIMERS

TOO_LARGE = 2_000_000
"""Bytes: more than a broker takes."""
Header = tuple[str, bytes | None]


class Poison:
    def __init__(self, world: World, *, may_forge: bool) -> None:
        self.world, self._may_forge = world, may_forge
        self.rng = world.rng_of("poison")
        self.forged: dict[Position, str] = {}
        """Records that use another's source and id for another content: none may vanish without a word."""
        self.injected: dict[tuple[str, str], set[str]] = {}
        """Keys of unreadable rows, by service and table."""
        self.dropped: set[str] = set()
        """Keys of unreadable messages that staff dropped."""
        self.aborted_keys: set[str] = set()
        self.lost: list[str] = []
        """Unreadable rows that were found to be gone."""
        self._number = 0
        self.strikes = (
            (4, self.garbage),
            (1, self.huge),
            (1, self.unparsable),
            (1, self.unknown_type),
            (2, self.forge),
            (2, self.abort),
            (1, self.unreadable_timers),
            (1, self.unreadable_operations),
            (1, self.unsendable),
            (1, self.topic_missing),
        )

    def is_ours(self, row: ParkedRow) -> bool:
        """Whether a parked message is one of these, and may be dropped."""
        return (row.topic, row.partition, row.offset) in self.world.garbage or row.key.startswith(UNREADABLE)

    def hidden(self) -> list[str]:
        """Unreadable rows that are neither in their table nor were parked: they would never be seen."""
        return [
            f"{key} is gone from the {table} of {service}"
            for (service, table), keys in sorted(self.injected.items())
            for key in sorted(keys - {row.key for row in self.world.stores[service].rows(table).values()})
            if key not in self.dropped
        ]

    async def clear_away(self) -> None:
        """The newer build that can read them is there. Not amid a transaction, which would write a row again."""
        while any(store.locks.held() for store in self.world.stores.values()):
            await asyncio.sleep(0.01)
        self.lost = self.hidden()
        for (service, table), keys in self.injected.items():
            rows = self.world.stores[service].rows(table)
            for id in [id for id, row in rows.items() if row.key in keys]:
                del rows[id]
        self.injected.clear()

    # Records

    async def garbage(self) -> None:
        """Arbitrary bytes for key, headers and value, and some that are nearly right."""
        headers: list[Header] = [(self._name(), self._bytes(40)) for _ in range(int(self.rng.random() * 4))]
        headers += self._nearly_right()
        self.rng.shuffle(headers)
        self._put(self._topic(), self._key(), headers, self._bytes(200), "garbage_record")

    async def huge(self) -> None:
        """A record near the broker's limit, whose bytes grow when they are made readable."""
        headers: list[Header] = [("x-huge", b"\xff" * 750_000), *self._nearly_right()]
        self._put(self._topic(), self._key(), headers, b"{}", "huge_record")

    async def unparsable(self) -> None:
        """A record that the client library cannot parse: nothing but its place is known."""
        topic = self._topic()
        self.world.garbage.add(place := self.world.bus.next_position(topic, None))
        self.world.history.fault("unparsable_record", "/".join(map(str, place)))
        self.world.bus.append(topic, None, (), None, unreadable="Invalid varint")

    async def unknown_type(self) -> None:
        self._number += 1
        record = self._known()
        if record:
            kind = self.rng.choice((b"order.from_the_future", b"order.\x00placed", b"\xc3\x28"))
            headers = [(n, kind if n == "ce_type" else v) for n, v in record.headers if n != "ce_dataschema"]
            self._put(record.topic, self._key(), _with_new_id(headers, self.world.new_id()), b"{}", "unknown_type")

    async def forge(self) -> None:
        """The id and source of a message that was handled, once more for something else."""
        record = self._known() if self._may_forge else None
        if record is None or not self.world.handled_by_all(record):
            return
        headers = [(n, v) for n, v in record.headers if n != "ce_subject"]
        # What one of the services decided again, in other words, is dropped: that is no forgery.
        ours = (dict(headers).get("ce_source") or b"").decode() in self.world.names
        if ours or self.rng.random() < 0.5:
            key, value = self._own_key(), record.value or b""
        else:
            key, value = record.key or b"", _other(record.value or b"")
        place = self._put(record.topic, key, headers, value, "id_used_again")
        self.forged[place] = (dict(headers)["ce_id"] or b"").decode()

    async def abort(self) -> None:
        """A checkout, and a copy of some record, of a transaction that the producer aborted."""
        record = self._known()
        for topic in (CheckoutSubmitted.topic.name, record.topic if record else ""):
            source = self._known(topic) if topic else None
            if source:
                self._number += 1
                key = f"aborted-{self._number}"
                self.aborted_keys.add(key)
                headers = _with_new_id([h for h in source.headers if h[0] != "ce_subject"], self.world.new_id())
                self.world.history.fault("aborted_transaction", f"{topic} {key}")
                self.world.bus.append(topic, key.encode(), headers, source.value or b"", aborted=True)

    def _put(
        self, topic: str, key: bytes | None, headers: Sequence[Header], value: bytes | None, kind: str
    ) -> Position:
        place = self.world.bus.next_position(topic, key)
        self.world.garbage.add(place)
        self.world.history.fault(kind, "/".join(map(str, place)))
        self.world.bus.append(topic, key, headers, value)
        return place

    def _known(self, topic: str = "") -> BusRecord | None:
        """A readable record."""
        bus = self.world.bus
        places = sorted(place for place in bus.logs if topic in ("", place[0]) and place[0] in self._topics())
        found = [
            record for place in places for record in bus.records_of(place)[-20:] if not self.world.is_garbage(record)
        ]
        return self.rng.choice(found) if found else None

    def _topics(self) -> list[str]:
        return sorted({topic.name for name in self.world.names for topic in self.world.service(name).consumes})

    def _topic(self) -> str:
        return self.rng.choice(self._topics())

    def _own_key(self) -> bytes:
        self._number += 1
        return f"{UNREADABLE}{self._number}".encode()

    def _key(self) -> bytes | None:
        """Seldom an order's: it waits then till staff dropped the garbage."""
        drawn = self.rng.random()
        if drawn < 0.2 and self.world.statuses:
            return self.rng.choice(sorted(self.world.statuses)).encode()
        return self._own_key() if drawn < 0.6 else self.rng.choice((None, b"", b"\xff\xfe\x00", self._bytes(300)))

    def _name(self) -> str:
        return self.rng.choice(("x-one", "ce_id", "ce_type", "CE_TYPE", "", "nul\x00", "\udcff\udcfe", "ce_actor"))

    def _bytes(self, most: int) -> bytes | None:
        return None if self.rng.random() < 0.3 else self.rng.randbytes(int(self.rng.random() * most))

    def _nearly_right(self) -> list[Header]:
        """Headers of a good message, one of them without a value, or with another's."""
        record = self._known()
        if record is None or self.rng.random() < 0.3:
            return []
        headers: list[Header] = [*_with_new_id(record.headers, self.world.new_id())]
        spoilt = int(self.rng.random() * len(headers))
        headers[spoilt] = (headers[spoilt][0], self._bytes(40))
        return headers

    # Rows

    async def unreadable_timers(self) -> None:
        """Timers of a class that was renamed, or that only a newer build knows: sometimes more than one look takes."""
        name = self.rng.choice(self.world.names)
        count = self.rng.choice((1, 3, 350))
        self.world.history.fault("unreadable_timers", f"{count} in {name}")
        for _ in range(count):
            key = self._own_key().decode()
            row = TimerRow(
                key, "Renamed", self.world.now(), "Renamed", b"{}", b'["","s","","system"]', self.world.new_id()
            )
            self.world.stores[name].rows(TIMERS)[key, "Renamed"] = row
            self.injected.setdefault((name, TIMERS), set()).add(key)

    async def unreadable_operations(self) -> None:
        name = self.rng.choice([name for name in self.world.names if self.world.service(name).gateways])
        kinds = [kind.__qualname__ for kind in self.world.service(name).gateways]
        count = self.rng.choice((1, 3, 30))
        self.world.history.fault("unreadable_operations", f"{count} in {name}")
        for _ in range(count):
            key, id = self._own_key().decode(), self.world.new_id()
            kind, payload = self.rng.choice((("Renamed", b"{}"), (self.rng.choice(kinds), b'{"renamed":1}')))
            now = self.world.now()
            row = OperationRow(id, key, kind, payload, b'["","s","","system"]', now, now, kind)
            self.world.stores[name].rows(OPERATIONS)[id] = row
            self.injected.setdefault((name, OPERATIONS), set()).add(key)

    async def unsendable(self) -> None:
        """A record that no broker takes."""
        name = self.rng.choice(self.world.names)
        self.world.history.fault("unsendable_record", name)
        store, key = self.world.stores[name], self._own_key().decode()
        id = store.next_id(OUTBOX)
        row = OutboxRow(
            self.world.service(name).refusal.topic.name, key, orjson.dumps([["ce_type", "x"]]), b"x" * TOO_LARGE, id
        )
        store.rows(OUTBOX)[id] = (row, self.world.now())

    async def topic_missing(self) -> None:
        """A topic was deleted, and is made again."""
        topic = self.rng.choice((*self._topics(), "orders.status.v1"))
        self.world.history.fault("topic_missing", topic)
        self.world.bus.missing.add(topic)
        await asyncio.sleep(self.rng.random() * self.rng.choice((5.0, 120.0)))
        self.world.bus.missing.discard(topic)


def _with_new_id(headers: Sequence[Header], id: UUID) -> list[Header]:
    return [(name, str(id).encode() if name == "ce_id" else value) for name, value in headers]


def _other(value: bytes) -> bytes:
    """Another content of the same shape, where there is a text to change."""
    body = orjson.loads(value)
    changed = {name: "changed" if isinstance(text, str) else text for name, text in body.items()}
    return orjson.dumps({**changed, **({} if changed != body else {"more": 1})})
