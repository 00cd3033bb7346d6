"""A newer build at work on the same databases and topics: it adds fields to states, at any depth, and publishes events
of types and versions that this build does not know. Nothing of that may be erased, or parked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from deploy.simulation.world import World
from services.notifications.domain.endpoint import Endpoints
from shared.core import Event
from shared.shell.ports.store import Conflict, StoreUnavailable
from shared.shell.ports.tables import StateTable
from shared.simulation.memory_database import Stored

SHAPE = 1
"""The fingerprint of its classes: none of this build's."""
PASSING = frozenset({"choice", "instructions", "waiting", "call", "in_doubt", "action"})
"""Parts of states that come and go, and with them whatever was in them."""
DICTS = frozenset({"shares", "prices", "custom_fields", "data", "headers", "body"})
"""They have entries, not fields."""
Step = str | tuple[Any, int]
"""A field's name; or of a list the element that begins with this value, and its place among those."""


@dataclass(frozen=True, slots=True)
class Added:
    """A field that only the newer build knows."""

    service: str
    table: StateTable
    key: str
    part: tuple[Step, ...]
    """Where it is in the state."""
    name: str


class Newer:
    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng_of("newer")
        self.added: list[Added] = []
        self._number = 0
        self.strikes = ((3, self.fields), (2, self.event))

    async def fields(self) -> None:
        """It handled a message, and saved the state with one more field."""
        world = self.world
        name = self.rng.choice(world.names)
        store = world.stores[name]
        rows = [(table, key) for table in world.service(name).storage.states for key in sorted(store.states(table))]
        if not rows:
            return
        table, key = self.rng.choice(rows)
        try:
            async with store.begin() as tx:
                row = (await tx.load(table, [key], lock=True, known={})).get(key)
                if row is None or row.data is None:
                    return
                state = orjson.loads(row.data)
                parts = [()] if table.kind is Endpoints else list(_parts(state))
                self._number += 1
                added = Added(name, table, key, self.rng.choice(parts), f"new_{self._number}")
                part = _found(state, added.part)
                part[added.name] = {"by": "a newer build"}
                data = orjson.dumps(state).decode()
                written = dataclasses.replace(row, version=row.version + 1, data=data, shape=SHAPE)
                tx.put(table.table.name, key, Stored(written, tx.get(table.table.name, key).columns, world.now()))
        except (StoreUnavailable, Conflict):
            return
        self.added.append(added)
        world.history.fault("newer_field", f"{table.table.name} {key}: {added.name} in {added.part}")

    async def event(self) -> None:
        """It published a fact about an order that this build does not know."""
        world = self.world
        kinds = sorted(
            (kind for name in world.names for kind in world.service(name).emitted if issubclass(kind, Event)),
            key=lambda kind: kind.type,
        )
        kind, keys = self.rng.choice([kind for kind in kinds if not kind.topic.compacted]), sorted(world.statuses)
        if not keys:
            return
        type, version = self.rng.choice(((f"{kind.type}_again", 1), (kind.type, kind.version + 1)))
        key = self.rng.choice(keys).encode()
        headers: list[tuple[str, bytes | None]] = [
            ("ce_specversion", b"1.0"),
            ("ce_id", str(world.new_id()).encode()),
            ("ce_source", kind.topic.owner.encode()),
            ("ce_type", type.encode()),
            ("ce_time", world.now().isoformat().encode()),
            ("ce_dataschema", f"urn:orderbus:{type}:{version}".encode()),
        ]
        place = world.bus.next_position(kind.topic.name, key)
        world.from_newer.add(place)
        world.history.fault("newer_event", f"{type} version {version}, {'/'.join(map(str, place))}")
        world.bus.append(kind.topic.name, key, headers, b'{"en":"something new"}')

    def erased(self) -> Iterator[tuple[str, str]]:
        """(Key, what is wrong): fields that are gone, though their part of the state is still there."""
        for added in self.added:
            stored = self.world.stores[added.service].states(added.table).get(added.key)
            state = orjson.loads(stored.row.data) if stored and stored.row.data else None
            part = None if state is None else _found(state, added.part)
            if part is not None and added.name not in part:
                yield added.key, f"{added.service} erased {added.name} of {added.table.table.name}, in {added.part}"


def _parts(part: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """The places of all objects that a class stands for."""
    if isinstance(part, dict):
        yield path
        for name, value in part.items():
            if name not in PASSING | DICTS and not name.startswith("new_"):
                yield from _parts(value, (*path, name))
    elif isinstance(part, list):
        before: list[Any] = []
        for value in part:
            first = _first(value)
            yield from _parts(value, (*path, (first, before.count(first))))
            before.append(first)


def _first(element: Any) -> Any:
    """What tells an element of a list from the others."""
    while isinstance(element, dict):
        element = next(iter(element.values()), None)
    return element


def _found(part: Any, path: tuple[Step, ...]) -> Any:
    """None where it is gone."""
    for step in path:
        if isinstance(step, str):
            part = part.get(step) if isinstance(part, dict) else None
        else:
            same = [value for value in part or () if _first(value) == step[0]]
            part = same[step[1]] if step[1] < len(same) else None
        if part is None:
            return None
    return part
