"""States are stored without what a reader knows anyway, and read as they were."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal

import orjson
import pytest
import sqlalchemy as sa
from pydantic import BaseModel

from services.checkout.domain.order import Order
from shared.core import codec
from shared.core.codec import WrongType, dump, dump_state, load
from shared.shell.batch.rows import MIXED, LoadedRow
from shared.shell.ports.tables import StateTable
from tests.unit.checkout.examples import paid_order


class Colour(StrEnum):
    NONE = ""


class Label(BaseModel):
    text: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    id: int
    left: int = 0
    kind: Literal[""] = ""


@dataclass(frozen=True, slots=True)
class Box:
    size: int
    number: int = 0
    most: int = 5
    open: bool = False
    name: str = ""
    parts: tuple[Part, ...] = ()
    wait: timedelta = timedelta(0)
    colour: Colour = Colour.NONE
    note: str | None = ""
    tags: dict[str, int] = field(default_factory=dict)
    label: Label = field(default_factory=Label)


def test_empty_defaults_are_left_out_and_nothing_else() -> None:
    assert orjson.loads(dump_state(Box(0, parts=(Part(0),)))) == {
        "size": 0,
        "most": 5,
        "parts": [{"id": 0, "kind": ""}],
        "wait": "PT0S",
        "colour": "",
        "note": "",
        "tags": {},
        "label": {"text": ""},
    }
    assert "parts" not in orjson.loads(dump_state(Box(1)))


@pytest.mark.parametrize(
    "box",
    [Box(0), Box(3, 4, 0, True, "a", (Part(1, 2), Part(2)), timedelta(1), note=None), Box(1, most=0, tags={"a": 0})],
)
def test_they_are_read_as_they_were(box: Box) -> None:
    assert load(Box, dump_state(box)) == load(Box, dump(box))


def test_an_order_is_a_third_smaller() -> None:
    order = paid_order("course", "game", tax=700).state
    assert load(Order, dump_state(order)) == order
    assert len(dump_state(order)) < 0.7 * len(dump(order))


def test_a_wrong_type_is_an_error_here_too() -> None:
    wrong: Any = "three"
    with pytest.raises(WrongType):
        dump_state(Box(1, wrong))


TABLE = StateTable(Box, sa.Table("boxes", sa.MetaData()), brief=True)


def saved(stored: Any, shape: int, **changes: Any) -> tuple[Any, int]:
    """After a change of a row that a build of this shape has stored."""
    row = LoadedRow(TABLE, "b-1", 1, 0, orjson.dumps(stored), locked=True, shape=shape)
    before = row.current()
    row.state = codec.load(Box, orjson.dumps(orjson.loads(dump(before)) | changes))
    written: Any = row.written(None).row  # type: ignore[arg-type]
    return orjson.loads(written.data), written.shape


def test_rows_of_builds_that_write_all_become_brief() -> None:
    whole, ours = orjson.loads(dump(Box(1, parts=(Part(1),)))), codec.shape_of(Box)
    brief = orjson.loads(dump_state(Box(2, parts=(Part(1),))))
    assert saved(whole, ours, size=2) == saved(whole, 7, size=2) == (brief, ours)


def test_rows_of_builds_that_leave_out_as_much_stay_brief() -> None:
    stored, ours = orjson.loads(dump_state(Box(1, parts=(Part(1),)))), codec.shape_of(Box)
    assert saved(stored, 7, size=2) == (stored | {"size": 2}, ours)


def test_what_a_newer_build_added_stays_and_changes_are_kept() -> None:
    stored = orjson.loads(dump_state(Box(1, parts=(Part(1),)))) | {"new": 0}
    stored["parts"][0]["newer"] = False
    data, shape = saved(stored, 7, open=True)
    assert (shape, data["new"], data["open"], data["parts"][0]["newer"]) == (MIXED, 0, True, False)
    data, shape = saved(data, shape, open=False)
    assert (data["new"], load(Box, orjson.dumps(data))) == (0, Box(1, parts=(Part(1),)))
