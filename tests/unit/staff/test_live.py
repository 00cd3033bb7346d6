"""What a reader of changes has, and what waits for it."""

from __future__ import annotations

import pytest

from services.staff.live.follower import Follower, OrderChange, Position


@pytest.mark.parametrize("given", ["ab12-10:10:", "ab12-10:20:10,15", "ab12-1:999999999999:"])
def test_a_position_is_read_as_it_was_written(given: str) -> None:
    assert str(Position.read(given)) == given


NOT_READ = (
    *("", "-", "ab12", "ab12-", "ab12-10", "ab12-10:9:", "ab12-10:20:9", "ab12-10:20:15,12", "ab12-10:20:20"),
    *("ab12-0:1:", "ab12-1:2:;drop", "ab12-10:20:10,", "ab12-١:٢:"),
    f"ab12-1:9999999999:{','.join(map(str, range(1, 2000)))}",
)


@pytest.mark.parametrize("given", NOT_READ)
def test_what_the_database_would_not_read_is_none(given: str) -> None:
    assert Position.read(given) is None


def test_only_earlier_positions_of_the_same_database_are_continued() -> None:
    now = Position("ab12", "10:20:")
    assert Position("ab12", "9:20:").is_of(now)
    assert not Position("ab12", "10:21:").is_of(now)
    assert not Position("cd34", "9:10:").is_of(now)


async def test_the_last_event_has_the_place_where_its_reader_continues() -> None:
    follower = Follower(frozenset({"game"}))
    assert await follower.news(0.01) == b": still here\n\n"
    follower.seen(Position("ab12", "10:19:"))
    assert await follower.news(30) == b"id: ab12-10:19:\n: still here\n\n"  # without waiting
    follower.seen(Position("ab12", "10:20:"))
    follower.notify(b"event: order\ndata: 1\n\n", b"event: order\ndata: 2\n\n")
    assert await follower.news(1) == b"event: order\ndata: 1\n\nid: ab12-10:20:\nevent: order\ndata: 2\n\n"
    assert await follower.news(0.01) == b"id: ab12-10:20:\n: still here\n\n"
    assert follower.wants(OrderChange("game", "o-1", b"")) and not follower.wants(OrderChange("main", "o-2", b""))


async def test_a_reader_that_does_not_take_what_waits_is_cut_off() -> None:
    follower = Follower(None)
    follower.notify(b"x" * 999_999)
    assert not follower.ended
    follower.notify(b"xx")
    assert follower.ended
