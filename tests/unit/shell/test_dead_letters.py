"""A dead letter is a copy that any topic takes, whatever the record was."""

from __future__ import annotations

import hashlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.shell.batch.dead_letters import MAX_COPY, MAX_HEADERS, RawHeaders, dead_letter
from shared.shell.ports.rows import OutboxRow

KAFKAS_OWN_LIMIT = 1_048_588
FRAME = 200
"""Bytes that Kafka adds around a record, and more."""


def letter_of(headers: RawHeaders, body: bytes | None, error: str = "wrong") -> OutboxRow:
    return dead_letter("checkout", "some-key", "topic/0/7", headers, body, error)


def headers_of(row: OutboxRow) -> dict[str, str]:
    return dict(orjson.loads(row.headers))


def size(row: OutboxRow) -> int:
    """Bytes of the record in Kafka."""
    pairs = orjson.loads(row.headers)
    lengths = [len(text.encode()) + 5 for pair in pairs for text in pair]
    return sum(lengths) + len(row.key.encode()) + len(row.body) + FRAME


def test_a_small_record_is_copied_whole() -> None:
    row = letter_of([("ce_type", b"order.placed"), ("trace", b"")], b"{}")
    assert (row.topic, row.key, row.body) == ("checkout.dead-letter.v1", "some-key", b"{}")
    assert headers_of(row) == {
        "ce_type": "order.placed",
        "trace": "",
        "orderbus_origin": "topic/0/7",
        "orderbus_error": "wrong",
    }


def test_a_header_that_would_triple_in_size_is_cut_and_the_cut_is_told() -> None:
    row = letter_of([("poison", b"\xff" * 750_000), ("after", b"kept")], b"body")
    found = headers_of(row)
    assert size(row) < KAFKAS_OWN_LIMIT
    assert found["poison"].startswith(r"\xff\xff")
    assert found["after"] == "kept"
    assert orjson.loads(found["orderbus_cut"]) == {
        "headers": 2,
        "header_bytes": 750_000 + len("poison") + len("after") + 4,
        "body_bytes": 4,
        "body_sha256": hashlib.sha256(b"body").hexdigest(),
    }


@pytest.mark.parametrize("size_of_body", [MAX_COPY, MAX_COPY + 1, 2_000_000])
def test_a_large_body_is_cut_and_its_hash_tells_which_it_was(size_of_body: int) -> None:
    body = b"x" * size_of_body
    row = letter_of([], body)
    assert size(row) < KAFKAS_OWN_LIMIT
    assert row.body == body[:MAX_COPY]
    cut = headers_of(row).get("orderbus_cut")
    if size_of_body <= MAX_COPY:
        assert cut is None
    else:
        assert cut is not None and orjson.loads(cut)["body_sha256"] == hashlib.sha256(body).hexdigest()


def test_ten_thousand_headers_are_cut() -> None:
    row = letter_of([(f"n{number}", b"v") for number in range(10_000)], None)
    assert len(headers_of(row)) == MAX_HEADERS + 3
    assert orjson.loads(headers_of(row)["orderbus_cut"])["headers"] == 10_000


names = st.text(st.characters(), max_size=300)
values = st.none() | st.binary(max_size=6000) | st.integers(0, 100_000).map(lambda n: b"\x01\xff" * n)


@given(
    st.lists(st.tuples(names, values), max_size=80),
    st.none() | st.binary(max_size=3000),
    st.text(st.characters(), max_size=2000),
)
def test_any_record_has_a_letter_that_fits(headers: RawHeaders, body: bytes | None, error: str) -> None:
    row = letter_of(headers, body, error)
    assert size(row) < KAFKAS_OWN_LIMIT
    assert headers_of(row)["orderbus_origin"] == "topic/0/7"
