"""Whatever a newer build adds to a state, at whatever depth, is still there after this build has decided something.

The states and decisions are those of whole orders in the simulation: every kind of state, changed in every way that
occurs there.
"""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.simulation.run import simulate
from services.declared import declared
from shared.core import codec
from shared.shell.batch.batch import Batch
from shared.shell.batch.rows import LoadedRow
from shared.shell.ports.tables import StateTable

KINDS = {table.kind.__name__: table for service in declared().values() for table in service.storage.states}
MOST = 150
"""Changes of one kind of state."""
EXAMPLES = 1000 if os.environ.get("ORDERBUS_LONG") else 100
Json = Any
Step = str | int
Path = tuple[Step, ...]


@dataclass(frozen=True)
class Change:
    table: StateTable
    before: bytes
    after: object


@functools.cache
def changes() -> dict[str, list[Change]]:
    """What cores decided, by the kind of state. Settings are only set there: of these, one is replaced by another."""
    found: dict[tuple[str, bytes, bytes], Change] = {}
    begun: defaultdict[str, dict[bytes, Change]] = defaultdict(dict)
    accept = Batch._accept

    def watched(self: Batch, item: Any, seed: Any, decision: Any) -> None:
        rows = [(self._own_row(item), decision.state)]
        rows += [(self._rows[ref], state) for ref, state in decision.other_states.items()]
        for row, after in rows:
            before = row.current()
            if before is None and after is not None:
                new = codec.dump(after)
                begun[row.table.kind.__name__][new] = Change(row.table, new, after)
            elif before is not None and after is not None and after != before:
                old, new = codec.dump(before), codec.dump(after)
                found[row.table.kind.__name__, old, new] = Change(row.table, old, after)
        accept(self, item, seed, decision)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "_accept", watched)
        for seed in (1, 2):
            assert simulate(seed, 12, "some").violations == []
    kinds: defaultdict[str, list[Change]] = defaultdict(list)
    for change in found.values():
        kinds[change.table.kind.__name__].append(change)
    for kind in KINDS.keys() - kinds.keys():
        states = list(begun[kind].values())
        kinds[kind] = [
            Change(one.table, one.before, other.after)
            for one, other in zip(states, states[1:] + states[:1], strict=True)
        ]
    return {kind: many[:: max(1, len(many) // MOST)] for kind, many in kinds.items()}


def places(part: Json, path: Path = ()) -> Iterator[Path]:
    """Where a class can have one more field: every object but those that are plain dicts by key."""
    if isinstance(part, dict):
        yield path
        for name, value in part.items():
            yield from places(value, (*path, name))
    elif isinstance(part, list):
        for place, value in enumerate(part):
            yield from places(value, (*path, place))


PLAIN = frozenset({"shares", "prices", "custom_fields", "data", "headers", "body"})
"""Fields that are dicts: all their entries are known."""


def at(part: Json, path: Sequence[Step]) -> Json:
    for step in path:
        part = part[step]
    return part


def name_of(element: Json) -> Json:
    """What tells an element of a list apart from the others."""
    while isinstance(element, dict):
        element = next(iter(element.values()))
    return element


def where(before: Json, after: Json, path: Path) -> Path | None:
    """The same place in the new state; None where what was there is gone, or became something else."""
    here: list[Step] = []
    for step in path:
        if isinstance(before, list):
            assert isinstance(step, int)
            alike = [place for place, value in enumerate(before) if name_of(value) == name_of(before[step])]
            same = [place for place, value in enumerate(after) if name_of(value) == name_of(before[step])]
            turn = alike.index(step)
            if turn >= len(same):
                return None
            before, after, step = before[step], after[same[turn]], same[turn]  # noqa: PLW2901
        else:
            if step not in after:
                return None
            before, after = before[step], after[step]
        if isinstance(before, dict) and (not isinstance(after, dict) or before.get("kind") != after.get("kind")):
            return None
        here.append(step)
    return tuple(here)


def without(part: Json) -> Json:
    """Without all that was added."""
    if isinstance(part, dict):
        return {name: without(value) for name, value in part.items() if not name.startswith("new_")}
    return [without(value) for value in part] if isinstance(part, list) else part


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "kind", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@dataclass
class Added:
    change: Change
    stored: Json
    fields: list[tuple[Path, str, Json]] = field(default_factory=list)


@st.composite
def added(draw: st.DrawFn, kind: str) -> Added:
    """A change, and its state before with fields that only a newer build has."""
    change = draw(st.sampled_from(changes()[kind]))
    stored = orjson.loads(change.before)
    known = orjson.loads(change.before)
    open_places = [path for path in places(known) if not PLAIN.intersection(map(str, path))]
    made = Added(change, stored)
    for number, path in enumerate(draw(st.lists(st.sampled_from(open_places), min_size=1, max_size=6))):
        name, value = f"new_{number}", draw(VALUES)
        at(stored, path)[name] = value
        made.fields.append((path, name, value))
    return made


def saved(change: Change, stored: Json) -> bytes:
    row = LoadedRow(change.table, "key", 1, 0, orjson.dumps(stored), True, shape=1)
    assert codec.dump(row.current()) == change.before
    row.state, row.dirty = change.after, True
    data = row.written(None).row.data  # type: ignore[arg-type]
    assert isinstance(data, bytes)
    return data


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_a_newer_build_added_is_lost(kind: str) -> None:
    assert changes()[kind]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(added(kind))
    def holds(made: Added) -> None:
        data = saved(made.change, made.stored)
        after, stored = orjson.loads(codec.dump(made.change.after)), orjson.loads(data)
        known = without(stored)

        if known == stored and made.change.table.brief:  # all that was added went with its part
            assert stored == orjson.loads(codec.dump_state(made.change.after))
        else:
            assert known == after
        assert codec.load(made.change.table.kind, data) == made.change.after
        for path, name, value in made.fields:
            place = where(orjson.loads(made.change.before), after, path)
            if place is not None:
                assert at(orjson.loads(data), place)[name] == value

    holds()
