"""What this build does not know stays where it was."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.core.unknown_fields import carried


def merged(stored: Any, known: Any, after: Any) -> Any:
    before = carried(orjson.dumps(stored), orjson.dumps(known))
    found = before and before.after(orjson.dumps(after))
    return found.stored if found else after


def test_where_all_is_known_nothing_is_carried() -> None:
    assert carried('{"b": [1, {"c": 2}], "a": 1}', b'{"a":1,"b":[1,{"c":2}]}') is None


@pytest.mark.parametrize(
    ("stored", "known", "after", "wanted"),
    [
        ({"a": 1, "new": 2}, {"a": 1}, {"a": 3}, {"a": 3, "new": 2}),
        ({"a": 1, "new": {"x": [1]}}, {"a": 1}, {}, {"new": {"x": [1]}}),
        ({"in": {"a": 1, "new": 2}}, {"in": {"a": 1}}, {"in": {"a": 3}}, {"in": {"a": 3, "new": 2}}),
        ({"in": {"a": 1, "new": 2}, "b": 1}, {"in": {"a": 1}, "b": 1}, {"b": 2}, {"b": 2}),
        ({"in": {"a": 1, "new": 2}}, {"in": {"a": 1}}, {"in": {"a": 1}, "b": 2}, {"in": {"a": 1, "new": 2}, "b": 2}),
        ({"a": "1.0", "new": 2}, {"a": "1"}, {"a": "1", "b": 1}, {"a": "1.0", "b": 1, "new": 2}),
    ],
    ids=["a field", "of an emptied state", "in a part", "of a part that is gone", "of a part untouched", "untouched"],
)
def test_unknown_fields_stay_where_they_are(stored: Any, known: Any, after: Any, wanted: Any) -> None:
    assert merged(stored, known, after) == wanted


def test_a_part_of_another_kind_is_another_part() -> None:
    stored, known = {"how": {"kind": "file", "name": "x", "new": 1}}, {"how": {"kind": "file", "name": "x"}}

    assert merged(stored, known, {"how": {"kind": "file", "name": "y"}}) == {
        "how": {"kind": "file", "name": "y", "new": 1}
    }
    assert merged(stored, known, {"how": {"kind": "code", "pool": "z"}}) == {"how": {"kind": "code", "pool": "z"}}


ITEMS = [{"id": "1", "n": 1}, {"id": "2", "n": 1}, {"id": "3", "n": 1}]
STORED = [item | {"new": item["id"]} for item in ITEMS]


@pytest.mark.parametrize(
    "after",
    [
        [ITEMS[0], {"id": "2", "n": 2}, ITEMS[2]],
        [{"id": "3", "n": 2}, {"id": "1", "n": 2}],
        [{"id": "0", "n": 1}, *ITEMS, {"id": "4", "n": 1}],
        [],
    ],
    ids=["one changes", "the order changes, one is gone", "others come", "all are gone"],
)
def test_elements_are_known_by_their_first_field(after: list[Any]) -> None:
    wanted = [item | ({"new": item["id"]} if item["id"] in "123" else {}) for item in after]
    assert merged({"items": STORED}, {"items": ITEMS}, {"items": after}) == {"items": wanted}


def test_the_first_field_may_be_a_part_of_its_own() -> None:
    known = {"lines": [{"item": {"item": name, "n": 1}, "done": False} for name in "ab"]}
    stored = {"lines": [{"done": False, "new": name, "item": {"n": 1, "x": 1, "item": name}} for name in "ab"]}
    after = {"lines": [{"item": {"item": name, "n": 2}, "done": True} for name in "ba"]}

    assert merged(stored, known, after)["lines"] == [
        {"item": {"item": name, "n": 2, "x": 1}, "done": True, "new": name} for name in "ba"
    ]


def test_elements_that_look_alike_are_taken_in_their_order() -> None:
    known = {"a": [{"at": 1}, {"at": 1}, {"at": 2}]}
    stored = {"a": [{"at": 1, "new": 1}, {"at": 1, "new": 2}, {"at": 2, "new": 3}]}

    assert merged(stored, known, {"a": [{"at": 1}, {"at": 1, "n": 1}]}) == {
        "a": [{"at": 1, "new": 1}, {"at": 1, "n": 1, "new": 2}]
    }


def test_elements_without_fields_are_known_by_position() -> None:
    known, stored = {"a": [["x"], ["y"]]}, {"new": 1, "a": [["x"], ["y"]]}
    assert merged(stored, known, {"a": [["x"], ["z"]]}) == {"new": 1, "a": [["x"], ["z"]]}
