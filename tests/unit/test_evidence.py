"""How evidence is put together from what was read."""

from datetime import UTC, datetime
from uuid import UUID

from deploy.check.evidence import Gathered, Numbers
from shared.invariants.rules import StreamFacts

AT = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, SECOND, THIRD = (UUID(int=number) for number in (1, 2, 3))


def stream_of(numbers: Numbers, *orders: str) -> StreamFacts:
    gathered = Gathered(at=AT, orders=dict.fromkeys(orders))  # type: ignore[arg-type]
    gathered.stream("checkout", "o-1", numbers, counted=2)
    (stream,) = gathered.streams
    return stream


def test_a_repetition_is_no_second_event() -> None:
    numbers = Numbers()
    for number, event in [(1, FIRST), (2, SECOND), (1, FIRST), (2, SECOND)]:
        numbers.add(number, event)
    stream = stream_of(numbers, "o-1")
    assert stream.sequences == [1, 2, 1, 2]
    assert stream.twice == []


def test_one_number_for_two_events_of_an_order_is_seen() -> None:
    numbers = Numbers()
    for number, event in [(1, FIRST), (2, SECOND), (2, THIRD)]:
        numbers.add(number, event)
    assert stream_of(numbers, "o-1").twice == [2]
    assert stream_of(numbers).twice == (), "the rows of a SKU count each for itself"
