"""What a projection makes of records: the last of a key, each once, and what cannot be read set apart."""

from __future__ import annotations

import dataclasses

import pytest

from shared.core import Event, Topic
from shared.core.projection import About, Projection, Row, Shown
from shared.shell.ports.rows import NEWER
from shared.shell.projection.fold import Fold
from tests.unit.shell.parcels import (
    NOON,
    PACKED,
    SCANS,
    TABLES,
    ParcelRow,
    ParcelStatus,
    RouteStatus,
    Scanned,
    ScanRow,
    ThingRow,
    erased,
    projection,
    record_of,
)

fold = Fold(projection, TABLES)
PLACE = (PACKED.name, 0)


def parcel(revision: int, state: str = "packed", *things: str) -> ParcelStatus:
    return ParcelStatus(revision=revision, depot="north", state=state, things=things)


def test_only_the_last_record_of_a_key_is_shown_and_what_belongs_to_it() -> None:
    records = [
        record_of(parcel(1), "a", 0),
        record_of(parcel(1), "b", 1),
        record_of(parcel(2, "sent", "x", "x"), "a", 2),
    ]

    folded, counts = fold.fold(records, {}, NOON)

    shown = {row.row.parcel: row for row in folded.shown["ParcelRow"]}  # type: ignore[attr-defined]
    adds = shown["a"].row.packed_adds  # type: ignore[attr-defined]
    assert shown["a"].row == ParcelRow("a", 2, "north", "sent", ("s:sent", "t:x", "t:x"), {"things": 2}, adds)
    assert shown["a"].parts == {"things": [ThingRow("a", "x", 2)]}
    assert shown["b"].parts == {"things": []}
    assert folded.moves == {PLACE: (0, 3)}
    assert counts.shown == 2


def test_what_was_read_before_is_left_out() -> None:
    records = [record_of(parcel(1), "a", 4), record_of(parcel(2), "a", 5), record_of(parcel(2), "a", 5)]

    folded, counts = fold.fold(records, {PLACE: 5}, NOON)

    assert folded.moves == {PLACE: (5, 6)}
    assert (counts.shown, counts.repeated) == (1, 2)
    nothing, _ = fold.fold(records, {PLACE: 6}, NOON)
    assert nothing.moves == {}


def test_everything_of_a_kept_topic_is_kept_even_what_cannot_be_read() -> None:
    scan = record_of(Scanned(place="door"), "a", 0)
    unknown = dataclasses.replace(scan, offset=1, headers=(("ce_type", b"toy.new"),))
    folded, counts = fold.fold([scan, unknown], {}, NOON)

    first, second = folded.kept
    assert isinstance(first, ScanRow)
    assert (first.parcel, first.type, first.body) == ("a", "toy.scanned", scan.value)
    assert isinstance(second, ScanRow)
    assert (second.type, second.body, second.at) == ("toy.new", scan.value, unknown.at)
    assert counts.kept == 2
    again, _ = fold.fold([dataclasses.replace(scan, offset=9)], {}, NOON)
    assert again.kept == [first], "a record that is sent twice is the same row"


def test_of_a_key_the_last_record_that_can_be_read_is_shown_and_what_follows_it_parked() -> None:
    broken = dataclasses.replace(record_of(parcel(3), "a", 2), value=b'{"revision": "three"}')
    records = [record_of(parcel(1), "a", 0), record_of(parcel(2), "a", 1), broken, record_of(parcel(4, "lost"), "a", 3)]

    folded, counts = fold.fold(records, {}, NOON, parked={(PACKED.name, "a"), (PACKED.name, "b")})

    assert [row.row.packed_revision for row in folded.shown["ParcelRow"]] == [2]  # type: ignore[attr-defined]
    assert [(row.key, row.offset, row.reason) for row in folded.parked] == [("a", 2, NEWER), ("a", 3, "failed")]
    assert folded.caught_up == {(PACKED.name, "a")}, "what was parked before is out of date"
    assert folded.moves == {PLACE: (0, 4)}
    assert counts.shown == 1


def test_a_parked_record_is_read_again() -> None:
    record = record_of(parcel(3, "sent", "x"), "a", 2)

    folded = fold.again(record, 17)

    assert (folded.moves, folded.released) == ({}, [17])
    assert folded.shown["ParcelRow"][0].parts == {"things": [ThingRow("a", "x", 1)]}
    with pytest.raises(ValueError, match="lost"):
        fold.again(record_of(parcel(4, "lost"), "a", 3), 18)


def test_an_erased_record_leaves_a_blank_row() -> None:
    folded, _ = fold.fold([record_of(parcel(1, "sent", "x"), "a", 0), erased(PACKED, "a", 1)], {}, NOON)

    (row,) = folded.shown["ParcelRow"]
    assert (row.row, row.parts, row.erased) == (ParcelRow("a"), {"things": []}, True)


def test_other_messages_of_a_status_topic_are_left_out_and_told_of() -> None:
    foreign = record_of(parcel(1), "a", 0)
    foreign = dataclasses.replace(
        foreign, headers=tuple((k, v.replace(b"parcel_status", b"other")) for k, v in foreign.headers if v)
    )
    told: list[tuple[str, int]] = []

    folded, counts = fold.fold([foreign], {}, NOON, on_unknown=lambda type, version: told.append((type, version)))

    assert (folded.shown, folded.parked) == ({}, [])
    assert told == [("toy.other", 1)]
    assert (counts.unknown, folded.moves) == (1, {PLACE: (0, 1)})


def test_what_the_client_cannot_parse_is_passed_over() -> None:
    record = dataclasses.replace(record_of(parcel(1), "a", 0), unreadable="corrupt")

    folded, counts = fold.fold([record], {}, NOON)

    assert (folded.moves, folded.shown, counts.unreadable) == ({PLACE: (0, 1)}, {}, 1)


def test_partitions_and_topics_move_each_by_itself() -> None:
    records = [
        record_of(parcel(1), "a", 7, partition=1),
        record_of(RouteStatus(revision=1, van="v"), "a", 3),
        record_of(parcel(1), "b", 2),
    ]

    folded, _ = fold.fold(records, {PLACE: 1}, NOON)

    assert folded.moves == {(PACKED.name, 1): (0, 8), ("toy.routes.status.v1", 0): (0, 4), PLACE: (1, 3)}


def test_a_projection_shows_compacted_topics_only_and_each_record_once() -> None:
    own = Projection()

    class Bare(Row):
        key: str

    def shown(record: Event, about: About) -> Shown:
        return Shown(Bare(about.key))

    with pytest.raises(TypeError, match="no status record"):
        own.shows(Scanned, blank=Bare)(shown)
    own.shows(ParcelStatus, blank=Bare)(shown)
    with pytest.raises(TypeError, match="twice"):
        own.shows(ParcelStatus, blank=Bare)(shown)
    assert own.topics() == [PACKED]
    assert projection.topics() == [PACKED, Topic("toy.routes.status.v1", owner="toy", compacted=True), SCANS]


def test_of_a_key_in_two_partitions_the_higher_revision_is_shown() -> None:
    newer, older = record_of(parcel(5, "sent"), "a", 0), record_of(parcel(4), "a", 0, partition=1)

    folded, _ = fold.fold([newer, older], {}, NOON)

    assert [row.row.packed_revision for row in folded.shown["ParcelRow"]] == [5]  # type: ignore[attr-defined]
    assert len(folded.moves) == 2


def test_an_earlier_record_that_is_sent_late_changes_nothing() -> None:
    """By a relay that did not know yet that another one had its place: in the same partition, with a lower revision."""
    records = [record_of(parcel(2), "a", 0), record_of(parcel(3, "sent"), "a", 1), record_of(parcel(2), "a", 2)]

    folded, _ = fold.fold(records, {}, NOON)

    assert [row.row.packed_revision for row in folded.shown["ParcelRow"]] == [3]  # type: ignore[attr-defined]


def test_what_cannot_be_read_is_parked_wherever_a_late_record_stands() -> None:
    bad = dataclasses.replace(record_of(parcel(4), "a", 3), value=b"{")
    records = [record_of(parcel(3, "sent"), "a", 1), record_of(parcel(2), "a", 2), bad]

    folded, _ = fold.fold(records, {}, NOON)

    assert [row.row.packed_revision for row in folded.shown["ParcelRow"]] == [3]  # type: ignore[attr-defined]


def test_what_comes_after_one_that_erases_is_shown_whatever_its_revision() -> None:
    records = [record_of(parcel(9), "a", 0), erased(PACKED, "a", 1), record_of(parcel(1), "a", 2)]

    folded, _ = fold.fold(records, {}, NOON)

    assert [row.row.packed_revision for row in folded.shown["ParcelRow"]] == [1]  # type: ignore[attr-defined]
