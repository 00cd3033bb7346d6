"""The envelope goes there and back unharmed, and every kind of garbage is named."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.checkout import OrderPaid
from shared.contracts.envelope import (
    MAX_BODY,
    BadBody,
    BadEnvelope,
    Envelope,
    checked,
    decode,
    encode,
    from_headers,
    message_type,
    to_headers,
    well_formed,
)
from shared.contracts.examples import EXAMPLES
from shared.contracts.notifications import RegisterWebhook
from shared.contracts.payments import RefundPayment
from shared.contracts.storefront import CheckoutSubmitted
from shared.core import MESSAGES, Command, derived_id

AT = datetime(2026, 3, 3, 14, 5, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
SUBMITTED = encode(EXAMPLES[CheckoutSubmitted])

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=30)
keys = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}", fullmatch=True)
times = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
identities = st.builds(lambda at, n: derived_id(UUID(int=n), 1, at), times, st.integers(0, 2**128 - 1))
envelopes = st.builds(
    Envelope,
    id=identities,
    type=words,
    source=words,
    subject=keys,
    time=times,
    version=st.integers(1, 99999),
    store=st.just("") | words,
    sequence=st.integers(0, 10**18 - 1),
    correlation_id=st.just("") | words,
    causation_id=st.just("") | words,
    actor=st.just("") | words,
    traceparent=st.just("") | words,
)


odd = (
    st.none()
    | st.binary(max_size=40)
    | st.sampled_from([b"", b"|", b"1.0", b"7", b"+1", b"0x1f", b"\xc2\x85", b"a" * 257])
)


@given(envelopes, st.lists(st.tuples(st.integers(0, 13), odd), max_size=2), keys)
def test_the_quick_look_at_headers_agrees_with_the_close_one(
    envelope: Envelope, changes: list[tuple[int, bytes | None]], key: str
) -> None:
    headers: list[tuple[str, bytes | None]] = [*to_headers(envelope)]
    for place, value in changes:
        headers[place % len(headers)] = (headers[place % len(headers)][0], value)
    for subject in (envelope.subject, key):
        quick = well_formed(headers, subject.encode())
        assert quick is None or quick == checked(headers, subject.encode())


def test_what_our_services_write_takes_the_quick_way() -> None:
    headers = [*good(), ("ce_time", AT.isoformat().encode()), ("ce_sequence", b"7"), ("traceparent", b"00-a-b-01")]
    assert well_formed(headers, b"o-1") == checked(headers, b"o-1")


@given(envelopes, st.randoms(use_true_random=False))
def test_an_envelope_survives_its_headers_in_any_order_and_case(envelope: Envelope, rng: random.Random) -> None:
    headers = [(name.upper() if rng.random() < 0.5 else name, value) for name, value in to_headers(envelope)]
    rng.shuffle(headers)
    assert from_headers(headers, envelope.subject.encode()) == envelope


def good(**changes: bytes | None) -> list[tuple[str, bytes]]:
    headers: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": b"01980c5e-7a10-7c3e-9f41-5b2f0a6d1e77",
        "ce_source": b"checkout",
        "ce_type": b"order.paid",
    }
    return [(name, value) for name, value in (headers | changes).items() if value is not None]


def test_the_least_that_makes_an_envelope() -> None:
    envelope = from_headers(good(), b"o-1")
    assert (envelope.version, envelope.sequence, envelope.subject) == (1, 0, "o-1")
    assert envelope.time == datetime.fromtimestamp(0x01980C5E7A10 / 1000, UTC), "the UUIDv7 tells the time"


def test_unknown_headers_are_ignored() -> None:
    unknown = [("tracestate", b"congo=t61rcWkgMzE"), ("x-nothing", b"")]
    assert from_headers([*good(), *unknown], b"o-1") == from_headers(good(), b"o-1")


LAST_ID = b"ffffffff-ffff-7fff-bfff-ffffffffffff"


@pytest.mark.parametrize(
    ("headers", "key", "problem"),
    [
        (good(ce_id=None), b"o-1", "header ce_id is missing"),
        (good(ce_type=b""), b"o-1", "header ce_type is missing"),
        (good(ce_id=b"17"), b"o-1", "header ce_id is not a UUID"),
        (good(ce_id=str(uuid4()).encode()), b"o-1", "header ce_id is not a UUID of version 7"),
        (good(ce_id=LAST_ID), b"o-1", "header ce_id has a time after the year 9999"),
        (good(ce_type=b"\xff\xfe"), b"o-1", "header ce_type is not UTF-8"),
        (good(ce_source=b"\xed\xa0\x80"), b"o-1", "header ce_source is not UTF-8"),
        (good(ce_specversion=b"0.3"), b"o-1", "header ce_specversion is '0.3', not 1.0"),
        (good(ce_time=b"yesterday"), b"o-1", "header ce_time is not an RFC 3339 time"),
        (good(ce_time=b"2026-03-03T14:05:00"), b"o-1", "header ce_time has no time zone"),
        (good(ce_time=b"0001-01-01T00:00:00+14:00"), b"o-1", "header ce_time "),
        (good(ce_sequence=b"-1"), b"o-1", "header ce_sequence is not a whole number"),
        (good(ce_sequence=b"9" * 19), b"o-1", "header ce_sequence is not a whole number"),
        (good(ce_sequence="٣".encode()), b"o-1", "header ce_sequence is not a whole number"),
        (good(ce_dataschema=b"urn:else:1"), b"o-1", "header ce_dataschema is not urn:orderbus:order.paid:<version>"),
        (good(ce_subject=b"o-2"), b"o-1", "header ce_subject is not the record's key"),
        (good(ce_store=b"north\x00wind"), b"o-1", "header ce_store contains a control character"),
        (good(ce_actor=b"a" * 300), b"o-1", "header ce_actor is longer than 256 characters"),
        (good(), None, "the record has no key"),
        (good(), b"", "the record has no key"),
        (good(), b"\xff", "the key is not UTF-8"),
        (good(), b"o 1", "the key is not an id"),
        (good(), b"o\x001", "the key is not an id"),
        (good(), b"o-1\n", "the key is not an id"),
        (good(), b"x" * 129, "the key is not an id"),
    ],
)
def test_what_is_wrong_with_an_envelope_is_named(
    headers: list[tuple[str, bytes]], key: bytes | None, problem: str
) -> None:
    with pytest.raises(BadEnvelope) as wrong:
        from_headers(headers, key)
    assert problem in str(wrong.value)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(BadEnvelope) as wrong:
        from_headers([("ce_id", b"17"), ("ce_time", b"now"), ("ce_store", b"\xff")], None)
    for problem in ("ce_specversion is missing", "ce_source is missing", "ce_type is missing", "not a UUID"):
        assert problem in str(wrong.value)
    for problem in ("no key", "RFC 3339", "ce_store is not UTF-8"):
        assert problem in str(wrong.value)


@given(
    st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=40)), max_size=12), st.none() | st.binary(max_size=40)
)
def test_no_garbage_in_headers_breaks_the_reader(headers: list[tuple[str, bytes]], key: bytes | None) -> None:
    with pytest.raises(BadEnvelope):
        from_headers(headers, key)


WHOLE = Envelope(
    UUID("01980c5e-7a10-7c3e-9f41-5b2f0a6d1e77"),
    "t",
    "s",
    "o-1",
    AT,
    1,
    "store",
    1,
    "c",
    "c",
    "staff:anna",
    "00-a-b-01",
)


@given(st.sampled_from([name for name, _ in to_headers(WHOLE)]), st.binary(max_size=60))
def test_garbage_in_one_header_is_named_or_harmless(name: str, value: bytes) -> None:
    headers = dict(to_headers(WHOLE)) | {name: value}
    try:
        read = from_headers(list(headers.items()), b"o-1")
    except BadEnvelope:
        return
    assert from_headers(to_headers(read), b"o-1") == read


@pytest.mark.parametrize(
    ("type", "version", "problem"),
    [
        ("order.payed", 1, "unknown message 'order.payed' version 1 (no such type)"),
        ("order.paid", 7, "unknown message 'order.paid' version 7 (known versions: [1])"),
    ],
)
def test_a_message_that_was_never_published_is_named(type: str, version: int, problem: str) -> None:
    envelope = from_headers(good(), b"o-1")
    with pytest.raises(BadEnvelope) as wrong:
        message_type(dataclasses.replace(envelope, type=type, version=version))
    assert str(wrong.value) == problem


def submitted(**changes: Any) -> bytes:
    return json.dumps(json.loads(SUBMITTED) | changes).encode()


def with_number(number: str) -> bytes:
    return SUBMITTED.replace(b'"subtotal":5400', b'"subtotal":' + number.encode())


GARBAGE = {
    "nothing": (None, ""),
    "empty": (b"", ""),
    "not JSON": (b"<order/>", ""),
    "half of it": (SUBMITTED[: len(SUBMITTED) // 2], ""),
    "not UTF-8": (SUBMITTED.replace(b"Ada", b"\xff\xfe"), ""),
    "an overlong encoding": (SUBMITTED.replace(b"Ada", b"\xc0\x80"), ""),
    "a list": (b"[]", ""),
    "a number": (b"1", ""),
    "null": (b"null", ""),
    "a raw NUL": (SUBMITTED.replace(b"Ada", b"A\x00a"), ""),
    "an escaped NUL": (SUBMITTED.replace(b"Ada", rb"A\u0000a"), ""),
    "a lone surrogate": (SUBMITTED.replace(b"Ada", rb"A\ud800a"), ""),
    "a swapped pair of surrogates": (SUBMITTED.replace(b"Ada", rb"\udc00\ud800"), ""),
    "larger than the limit": (submitted(offer="x" * MAX_BODY), ""),
    "a text of nearly 1 MB": (submitted(offer="x" * 900_000), "offer"),
    "a deep hole": (b'{"store":' + b"[" * 100_000, ""),
    "negative": (with_number("-1"), "subtotal"),
    "beyond a bigint": (with_number(str(2**63)), "subtotal"),
    "beyond everything": (with_number("9" * 5000), ""),
    "a float": (with_number("49.5"), "subtotal"),
    "a whole float": (with_number("4900.0"), "subtotal"),
    "NaN": (with_number("NaN"), "subtotal"),
    "Infinity": (with_number("Infinity"), "subtotal"),
    "an exponent": (with_number("1e400"), "subtotal"),
    "a number as text": (with_number('"4900"'), "subtotal"),
    "true": (with_number("true"), "subtotal"),
    "no currency": (submitted(currency="XXX"), "currency"),
    "a small currency": (submitted(currency="gbp"), "currency"),
    "an unknown field": (submitted(card_number="4242"), "card_number"),
    "no email": (submitted(customer={"name": "Ada", "email": "nowhere"}), "customer.email"),
    "two addresses in one": (submitted(customer={"name": "Ada", "email": "a@b.c,d@e.f"}), "customer.email"),
    "a line break in an email": (submitted(customer={"name": "A", "email": "a@b.c\r\nBcc: x@y.z"}), "customer.email"),
    "a time without a zone": (submitted(terms_accepted_at="soon"), "terms_accepted_at"),
    "too many items": (submitted(items=[{"sku": "a", "quantity": 1, "unit_price": 1}] * 201), "items"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_wrong_with_a_body_is_named_by_field(name: str) -> None:
    body, field = GARBAGE[name]
    with pytest.raises(BadBody) as wrong:
        decode(CheckoutSubmitted, body)
    assert field in [problem.field for problem in wrong.value.problems]
    assert len(str(wrong.value)) < 5_000


def test_every_problem_of_a_body_is_named_at_once() -> None:
    body = submitted(subtotal=-1, currency="XXX", items=[{"sku": "", "quantity": "1"}], more=1)
    with pytest.raises(BadBody) as wrong:
        decode(CheckoutSubmitted, body)
    fields = {problem.field for problem in wrong.value.problems}
    assert fields == {"subtotal", "currency", "items.0.sku", "items.0.quantity", "items.0.unit_price", "more"}


def test_a_list_with_a_wrong_part_is_not_too_short_as_well() -> None:
    body = json.dumps({"endpoint": "we_1", "url": "https://a.example/x", "events": ["nope"], "secret": SECRET}).encode()
    with pytest.raises(BadBody) as wrong:
        decode(RegisterWebhook, body)
    assert [problem.field for problem in wrong.value.problems] == ["events.0"]
    with pytest.raises(BadBody) as empty:
        decode(RegisterWebhook, body.replace(b'"nope"', b""))
    assert [problem.text for problem in empty.value.problems] == ["must have at least 1 entry"]


def test_our_own_texts_are_told_as_they_are() -> None:
    with pytest.raises(BadBody) as wrong:
        decode(CheckoutSubmitted, submitted(currency="XXX", customer={"name": "a\nb", "email": "no address"}))
    texts = [problem.text for problem in wrong.value.problems]
    assert "must be one line without control characters" in texts
    assert [text for text in texts if text.startswith("Value error")] == []


def test_problems_never_quote_what_was_sent() -> None:
    secret = "4242424242424242"
    with pytest.raises(BadBody) as wrong:
        decode(CheckoutSubmitted, submitted(customer={"name": secret, "email": secret}, payment={"token": [secret]}))
    assert secret not in str(wrong.value)


def test_a_crowd_of_unknown_fields_stays_a_short_answer() -> None:
    body = submitted(**{f"{'long' * 50}{n}": n for n in range(4_000)})
    with pytest.raises(BadBody) as wrong:
        decode(CheckoutSubmitted, body)
    assert len(wrong.value.problems) <= 101
    assert max(len(problem.field) for problem in wrong.value.problems) <= 200


def test_a_text_that_spells_an_escaped_nul_is_a_text() -> None:
    refund = RefundPayment(note=r"a \u0000 b")
    assert decode(RefundPayment, encode(refund)) == refund


@given(st.sampled_from(sorted(MESSAGES)), st.binary(max_size=200))
def test_no_garbage_in_a_body_breaks_the_reader(identity: tuple[str, int], body: bytes) -> None:
    kind = MESSAGES[identity]
    try:
        message = decode(kind, body)
    except BadBody:
        return
    assert isinstance(message, kind)


def test_a_negative_wait_is_no_wait() -> None:
    store = json.loads(encode(next(e for e in EXAMPLES.values() if e.type == "store.configure")))
    kind = MESSAGES["store.configure", 1]
    for wrong in ("-PT1S", "PT0S", "P99999999D"):
        with pytest.raises(BadBody, match="grace"):
            decode(kind, json.dumps(store | {"grace": wrong}).encode())
    assert decode(kind, json.dumps(store | {"grace": "PT2S"}).encode()).grace == timedelta(seconds=2)  # type: ignore[attr-defined]


def test_fields_that_are_none_are_not_sent() -> None:
    assert encode(OrderPaid(amount=1, currency="USD")) == b'{"amount":1,"currency":"USD"}'


def test_commands_and_events_know_their_topics() -> None:
    for kind in EXAMPLES:
        wanted = (
            ("commands.v1", "checkouts.v1") if issubclass(kind, Command) else ("events.v1", "status.v1", "callbacks.v1")
        )
        assert kind.topic.name.endswith(wanted), kind


@pytest.mark.parametrize(
    ("body", "repeated"),
    [
        (SUBMITTED.replace(b"{", b'{"currency": "USD", ', 1), {"currency"}),
        (SUBMITTED.replace(b'"email":', b'"email": "a@example.org", "email":', 1), {"email"}),
        (
            SUBMITTED.replace(b"{", b'{"currency": 1, "currency": 2, "x": {"a": 1, "\\u0061": 2}, ', 1),
            {"currency", "a"},
        ),
    ],
)
def test_a_command_that_says_something_twice_is_refused_and_the_name_is_told(body: bytes, repeated: set[str]) -> None:
    assert body != SUBMITTED
    with pytest.raises(BadBody) as raised:
        decode(CheckoutSubmitted, body)
    assert {p.field for p in raised.value.problems if p.code == "repeated"} == repeated


def test_a_name_may_occur_in_several_objects() -> None:
    assert decode(CheckoutSubmitted, SUBMITTED) == EXAMPLES[CheckoutSubmitted]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("kind", [CheckoutSubmitted, OrderPaid])
def test_ten_thousand_levels_are_one_problem(opening: bytes, kind: Any) -> None:
    with pytest.raises(BadBody) as raised:
        decode(kind, b'{"note": ' + opening * 10_000)
    assert [problem.code for problem in raised.value.problems] == ["not_json"]


@pytest.mark.parametrize("levels", [253, 300, 1000, 1100])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_deep_body_is_refused_by_its_unknown_field(opening: bytes, closing: bytes, levels: int) -> None:
    """Each reader and writer of JSON gives up at a depth of its own."""
    deep = b'{"note": ' + opening * levels + b"1" + closing * levels + b", "
    with pytest.raises(BadBody) as raised:
        decode(CheckoutSubmitted, SUBMITTED.replace(b"{", deep, 1))
    assert {problem.code for problem in raised.value.problems} <= {"unknown_field", "not_json"}
