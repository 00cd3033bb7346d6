"""What the check keeps of what it read."""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from deploy.check.book import Book, ForeignFile, Missing, Told
from deploy.check.numbers import Numbers
from services.payments.gateways.provider import ProviderMovement

AT = datetime(2026, 3, 3, tzinfo=UTC)
LOST = Missing("payments", str(UUID(int=7)), "o-1", "order.placed", "m-1", AT.isoformat(), "orders.events.v1", 0, 4)


def numbers(*given: int) -> Numbers:
    made = Numbers()
    for number in given:
        made.add(number, UUID(int=number))
    return made


def test_a_key_is_due_once_it_was_read_and_has_all_that_was_read_of_it() -> None:
    book = Book(None)
    book.add_numbers({("o-1", "checkout"): numbers(1, 2), ("o-2", "checkout"): numbers(1)})
    book.add_numbers({("o-1", "checkout"): numbers(3)})
    book.add_told({"o-1": Told(b"{}", 0)})
    book.add_movements([ProviderMovement("pi_1", 500, "EUR", "o-1", "1")])
    book.add_missing([LOST])
    assert list(book.slices(1)) == [["o-1"], ["o-2"]]
    entry = book.entries(["o-1"])["o-1"]
    assert (list(entry.numbers["checkout"].given), entry.told) == ([1, 2, 3], b"{}")
    assert ([movement.amount for movement in entry.movements], list(entry.missing)) == ([500], [LOST])


@pytest.mark.parametrize("at_once", [True, False])
def test_after_partitions_were_added_the_status_record_of_the_highest_revision_counts(at_once: bool) -> None:
    """In one partition the last one counts, whatever it says, as for readers of the compacted topic."""

    def told(revision: int, partition: int) -> Told:
        return Told(b'{"revision": %d}' % revision, partition)

    for records, last in (
        ([told(7, 7), told(5, 0)], told(7, 7)),
        ([told(5, 0), told(7, 7), told(6, 0)], told(7, 7)),
        ([told(7, 7), Told(None, 0), Told(b"", 0), Told(b"[]", 0)], told(7, 7)),
        ([told(7, 7), told(6, 7)], told(6, 7)),
        ([told(7, 7), Told(b"", 7)], Told(b"", 7)),
    ):
        book = Book(None)
        for one in [functools.reduce(Told.or_later, records)] if at_once else records:
            book.add_told({"o-1": one})
        assert book.entries(["o-1"])["o-1"].told == last.body


def test_what_the_provider_has_now_replaces_what_it_had() -> None:
    book = Book(None)
    book.add_movements([ProviderMovement("re_1", -500, "EUR", "o-1")])
    book.add_movements([ProviderMovement("re_1", 0, "EUR", "o-1")])
    assert book.sums() == {"EUR": 0}


def test_a_movement_without_an_order_gets_the_one_that_the_ledger_has() -> None:
    book = Book(None)
    book.add_movements([ProviderMovement("re_1", -500, "EUR"), ProviderMovement("re_2", -5, "EUR")])
    assert book.nameless() == ["re_1", "re_2"]
    book.name({"re_1": "o-1"})
    assert (book.nameless(), list(book.slices(10))) == (["re_2"], [[""], ["o-1"]])


def test_keys_in_motion_are_left_out_of_sums_and_due_in_the_next_check() -> None:
    book = Book(None)
    book.add_movements([ProviderMovement("pi_1", 500, "EUR", "o-1"), ProviderMovement("pi_2", 7, "EUR", "o-2")])
    book.add_again(["o-1"])
    assert book.sums() == {"EUR": 7}
    book.due_again()
    assert book.sums() == {"EUR": 507}


def test_what_an_order_holds_replaces_what_it_held() -> None:
    book = Book(None)
    book.set_holds(["o-1", "o-2"], [("o-1", "s/atlas", 2, 0), ("o-2", "s/atlas", 0, 1)])
    book.set_holds(["o-1"], [("o-1", "s/atlas", 0, 2)])
    assert book.held() == {"s/atlas": (0, 3)}


@pytest.mark.parametrize("application", [0, 4711])
def test_a_file_of_another_program_stays_as_it_is(tmp_path: Path, application: int) -> None:
    path = tmp_path / "customers.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"pragma application_id = {application}")
        other.execute("create table customers (name text)")
        other.execute("insert into customers values ('Ada')")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(ForeignFile):
        Book(path)
    assert path.read_bytes() == before


def test_an_empty_file_can_become_a_checkpoint_and_one_of_another_version_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "checks.db"
    path.touch()
    book = Book(path)
    book.since = AT
    book.close(keep=True)
    with closing(sqlite3.connect(path)) as older:
        older.execute("pragma user_version = 1")
    assert Book(path).since is None


def test_a_book_is_kept_or_as_it_was_before(tmp_path: Path) -> None:
    path = tmp_path / "checks.db"
    for keep, place in ((True, 5), (False, 9)):
        book = Book(path)
        book.place("orders.events.v1", 0, place)
        book.since = AT
        book.close(keep=keep)
    book = Book(path)
    assert (book.places(), book.since) == ({("orders.events.v1", 0): 5}, AT)
    book.clear()
    assert (book.places(), book.since) == ({}, None)
