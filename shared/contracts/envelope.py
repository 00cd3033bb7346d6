"""The envelope of every message: CloudEvents 1.0 in Kafka's binary mode.

Attributes travel in `ce_*` headers, the JSON body in the value. The record's key is the subject, usually an order id.
Sources: CloudEvents 1.0.2, the Kafka protocol binding 1.0.2, W3C Trace Context.

    BadMessage                      a record that is not a valid message; its text says why
    ├── BadEnvelope                 invalid headers, key or type: a command is refused, a fact parked
    │   └── UnknownMessage          a type or version that this build does not know: skipped, or refused
    └── BadBody                     a known type with an invalid body, every problem by field: a command is refused
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from shared.contracts.problems import MAX_PROBLEMS, problems_of
from shared.core import MESSAGES, Event, Message, Problem
from shared.core.codec import written
from shared.core.fast_dataclasses import fast
from shared.core.ids import message_id, plain_message_id, time_of

SPEC_VERSION = "1.0"
KEY_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
MAX_BODY = 1_000_000
"""Bytes. Kafka's default limit for a record is a little above."""


class BadMessage(Exception):
    """A record that is not a valid message. The text never contains the body."""


class BadEnvelope(BadMessage):
    """Headers, key or type are invalid, so the message cannot be identified. `problems` lists everything that is wrong;
    a field is a header's name, or `key`."""

    def __init__(self, text: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(text)
        self.problems = tuple(problems)


class UnknownMessage(BadEnvelope):
    """The envelope is valid, but this build knows no such type or version: a newer one may."""


class BadBody(BadMessage):
    """The type is known, but the body is invalid. `problems` lists everything that is wrong."""

    def __init__(self, kind: type[Message], problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{p.field or 'body'}: {p.text}" for p in problems[:20]))
        self.kind = kind
        self.problems = tuple(problems)


@fast
@dataclass(frozen=True, slots=True)
class Envelope:
    """The attributes of one message, without its body. Times are UTC."""

    id: UUID
    type: str
    source: str
    subject: str
    """The record's key: what the message is about, usually an order id."""
    time: datetime
    version: int = 1
    store: str = ""
    sequence: int = 0
    """Counts the messages of one subject from one source, within an epoch from 1 and without gaps (`core/epochs.py`); 0
    if the source does not count."""
    correlation_id: str = ""
    """The id of the message that started the chain of messages."""
    causation_id: str = ""
    """The id of the message that caused this one."""
    actor: str = ""
    """Who caused it: `customer`, an API client such as `staff`, `system`, `provider:stripe`."""
    traceparent: str = ""
    versions: str = ""
    """The versions in which this fact is published under one id (`2,1`); empty where it is published once."""
    epoch: int = 0
    """How often the source's database was restored to an earlier point when it sent this."""


Headers = Sequence[tuple[str, bytes]]


def to_headers(envelope: Envelope) -> list[tuple[str, bytes]]:
    """The record headers of a message."""
    return [(name, value.encode()) for name, value in attributes(envelope)]


def attributes(envelope: Envelope) -> list[tuple[str, str]]:
    """The same as text."""
    pairs = [
        ("content-type", "application/json"),
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", str(envelope.id)),
        ("ce_source", envelope.source),
        ("ce_type", envelope.type),
        ("ce_subject", envelope.subject),
        ("ce_time", envelope.time.isoformat()),
        ("ce_dataschema", f"urn:orderbus:{envelope.type}:{envelope.version}"),
        ("ce_store", envelope.store),
        ("ce_sequence", str(envelope.sequence) if envelope.sequence else ""),
        ("ce_correlationid", envelope.correlation_id),
        ("ce_causationid", envelope.causation_id),
        ("ce_actor", envelope.actor),
        ("traceparent", envelope.traceparent),
        ("ce_versions", envelope.versions),
        ("ce_epoch", str(envelope.epoch) if envelope.epoch else ""),
    ]
    return [pair for pair in pairs if pair[1]]


def from_headers(headers: Sequence[tuple[str, bytes | None]], key: bytes | None) -> Envelope:
    """Read and check headers and key. Raises BadEnvelope with every problem."""
    return well_formed(headers, key) or checked(headers, key)


def well_formed(headers: Sequence[tuple[str, bytes | None]], key: bytes | None) -> Envelope | None:
    """The envelope of headers as orderbus writes them; None for others, which `checked` reads.

    Reading headers one by one takes a third of the time of decoding a small message."""
    try:
        names, values = zip(*headers, strict=True)
        joined: str = b"|".join(values).decode()
        identity = plain_message_id(texts["ce_id"]) if (texts := _texts(names, joined)) else None
        if identity is None or not key or len(key) > MAX_KEY or texts["ce_specversion"] != SPEC_VERSION:
            return None
        subject, wrong_key = _known_key(key)
        type, source, time = texts["ce_type"], texts["ce_source"], texts.get("ce_time")
        if wrong_key or not (type and source and time) or texts.get("ce_subject", subject) != subject:
            return None
        schema, sequence = texts.get("ce_dataschema"), texts.get("ce_sequence")
        return Envelope(
            id=identity,
            type=type,
            source=source,
            subject=subject,
            time=_time(time),
            version=(_schema_version(schema, type) or 1) if schema else 1,
            store=texts.get("ce_store", ""),
            sequence=_sequence(sequence) if sequence else 0,
            correlation_id=texts.get("ce_correlationid", ""),
            causation_id=texts.get("ce_causationid", ""),
            actor=texts.get("ce_actor", ""),
            traceparent=texts.get("traceparent", ""),
            versions=texts.get("ce_versions", ""),
            epoch=_sequence(epoch) if (epoch := texts.get("ce_epoch")) else 0,
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _texts(names: tuple[str, ...], joined: str) -> dict[str, str]:
    """Values by lower-case name; empty if a value is too long, or has a bar or an unprintable character."""
    values = joined.split("|")
    if len(values) != len(names) or not joined.isprintable() or max(map(len, values)) > MAX_HEADER:
        return {}
    lower = _LOWER.get(names)
    if lower is None:
        lower = tuple(name.lower() for name in names)
        if len(_LOWER) < 1000 and len(names) < 30:
            _LOWER[names] = lower
    return dict(zip(lower, values, strict=True))


_LOWER: dict[tuple[str, ...], tuple[str, ...]] = {}
"""Lower-case names by names: a sender writes the same names into every message."""


def checked(headers: Sequence[tuple[str, bytes | None]], key: bytes | None) -> Envelope:
    """The envelope of any headers. Raises BadEnvelope with every problem."""
    text: dict[str, str] = {}
    problems: list[Problem] = []
    for name, value in headers:
        try:
            text[name.lower()] = value.decode() if value else ""
        except UnicodeDecodeError:
            problems.append(_header(name.lower(), "wrong_format", "is not UTF-8"))
    said = {problem.field for problem in problems}
    problems += [_header(name, "missing", "is missing") for name in _REQUIRED if not (text.get(name) or name in said)]
    subject, wrong_key = read_key(key)
    if wrong_key:
        code = "wrong_format" if key else "missing"
        problems.append(Problem(field="key", code=code, text=wrong_key))
    elif text.get("ce_subject", subject) != subject:
        problems.append(_header("ce_subject", "wrong_format", "is not the record's key"))
    if (version := text.get("ce_specversion")) and version != SPEC_VERSION:
        problems.append(_header("ce_specversion", "not_one_of", f"is {version[:20]!r}, not {SPEC_VERSION}"))
    identity = _parsed(problems, "ce_id", text, message_id)
    id_time = time_of(identity) if identity else None
    if identity and id_time is None and not text.get("ce_time"):
        problems.append(_header("ce_time", "missing", "is required when ce_id is a UUID of version 8"))
    if _CONTROL.search("".join(text.values())) or max(map(len, text.values()), default=0) > MAX_HEADER:
        problems += [wrong for name in _CARRIED for wrong in _carried(name, text.get(name, ""))]
    time = _parsed(problems, "ce_time", text, _time) or id_time
    sequence = _parsed(problems, "ce_sequence", text, _sequence)
    epoch = _parsed(problems, "ce_epoch", text, _sequence)
    type = text.get("ce_type")
    schema = _parsed(problems, "ce_dataschema", text, lambda value: _schema_version(value, type)) if type else None
    if problems or identity is None or time is None:
        raise BadEnvelope("; ".join(problem.text for problem in problems), problems)
    return Envelope(
        id=identity,
        type=type or "",
        source=text["ce_source"],
        subject=subject,
        time=time,
        version=schema or 1,
        store=text.get("ce_store", ""),
        sequence=sequence or 0,
        correlation_id=text.get("ce_correlationid", ""),
        causation_id=text.get("ce_causationid", ""),
        actor=text.get("ce_actor", ""),
        traceparent=text.get("traceparent", ""),
        versions=text.get("ce_versions", ""),
        epoch=epoch or 0,
    )


_REQUIRED = ("ce_specversion", "ce_id", "ce_source", "ce_type")
_CARRIED = ("ce_source", "ce_type", "ce_store", "ce_correlationid", "ce_causationid", "ce_actor")
"""Headers whose values are stored and copied into the messages that this one causes."""
MAX_HEADER = 256


def _header(name: str, code: str, text: str) -> Problem:
    shown = name[:200] if name.isascii() and name.isprintable() else ascii(name[:50])
    return Problem(field=shown, code=code, text=f"header {shown} {text}")


def _carried(name: str, value: str) -> Iterator[Problem]:
    if len(value) > MAX_HEADER:
        yield _header(name, "too_long", f"is longer than {MAX_HEADER} characters")
    elif _CONTROL.search(value):
        yield _header(name, "wrong_format", "contains a control character")


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def read_key(key: bytes | None) -> tuple[str, str]:
    """The key as text, and what is wrong with it (empty if it is valid)."""
    if not key:
        return "", "the record has no key"
    try:
        subject = key.decode()
    except UnicodeDecodeError:
        return "", "the key is not UTF-8"
    if not KEY_PATTERN.fullmatch(subject):
        return (
            "",
            "the key is not an id (letters, digits or . _ : @ -, a letter or digit first; an order's has 1 to 64)",
        )
    return subject, ""


MAX_KEY = 128
_known_key = lru_cache(1000)(read_key)
"""Cached, since the messages of a key arrive close together. 340 bytes each."""


def _parsed(problems: list[Problem], name: str, text: dict[str, str], parse: Any) -> Any:
    if not text.get(name):
        return None
    try:
        return parse(text[name])
    except (ValueError, OverflowError) as wrong:
        problems.append(_header(name, "wrong_format", str(wrong)))
        return None


def _time(value: str) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("is not an RFC 3339 time") from None
    if time.tzinfo is None:
        raise ValueError("has no time zone")
    return time if time.tzinfo is UTC else time.astimezone(UTC)


def _sequence(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise ValueError("is not a whole number")
    return int(value)


@lru_cache(1000)
def _schema_version(value: str, type: str) -> int:
    prefix = f"urn:orderbus:{type}:"
    version = value.removeprefix(prefix)
    if not value.startswith(prefix) or not (version.isascii() and version.isdigit() and len(version) < 6):
        raise ValueError(f"is not {prefix}<version>")
    return int(version)


def message_type(envelope: Envelope) -> type[Message]:
    """The class of the envelope's type and version. Raises UnknownMessage if there is none."""
    kind = MESSAGES.get((envelope.type, envelope.version))
    if kind is None:
        known = sorted(version for type, version in MESSAGES if type == envelope.type)
        hint = f"known versions: {known}" if known else "no such type"
        raise UnknownMessage(f"unknown message {envelope.type[:80]!r} version {envelope.version} ({hint})")
    return kind


def decode(kind: type[Message], body: bytes | None) -> Message:
    """The message of a JSON body. Raises BadBody with every problem."""
    if not body:
        raise BadBody(kind, [Problem(field="", code="empty", text="the body is empty")])
    if len(body) > MAX_BODY:
        raise BadBody(kind, [Problem(field="", code="too_large", text=f"the body is larger than {MAX_BODY} bytes")])
    if has_nul(body):
        raise BadBody(kind, [Problem(field="", code="nul", text="the body contains a NUL character")])
    if issubclass(kind, Event):
        try:
            # Parts that are strict in commands, such as an address, are read tolerantly in events, too.
            return kind.model_validate_json(body, extra="ignore")
        except ValidationError as wrong:
            raise BadBody(kind, problems_of(wrong)) from None
    message, problems = None, list[Problem]()
    try:
        message = kind.model_validate_json(body)
    except ValidationError as wrong:
        problems = problems_of(wrong)
    problems += _repeated_names(body)
    if message is None or problems:
        raise BadBody(kind, problems)
    return message


def encode(message: Message) -> bytes:
    """The JSON body of a message. Raises WrongType: made by `model_construct` or `model_copy`, it may hold anything."""
    return written(message.__pydantic_serializer__, message)


def _repeated_names(body: bytes) -> list[Problem]:
    """Names that occur twice in one object of the body. JSON readers would silently drop one of the values."""
    if _has_all(body):
        return []
    repeated: dict[str, None] = {}

    def note(pairs: list[tuple[str, object]]) -> None:
        if len(dict(pairs)) < len(pairs):
            counted = Counter(name for name, _ in pairs)
            repeated.update((name, None) for name, count in counted.items() if count > 1)

    with contextlib.suppress(ValueError, RecursionError):  # invalid JSON is reported already
        json.JSONDecoder(object_pairs_hook=note).decode(body.decode())
    return [
        Problem(field=name[:200], code="repeated", text="occurs more than once in one object")
        for name in list(repeated)[:MAX_PROBLEMS]
    ]


def _has_all(body: bytes) -> bool:
    """Whether a body without escapes has as many strings, names included, as remain once it is parsed.

    A quick check that most bodies pass."""
    if b"\\" in body:
        return False
    try:
        return body.count(b'"') == orjson.dumps(orjson.loads(body)).count(b'"')
    except (ValueError, orjson.JSONEncodeError):  # orjson reads deeper nesting than it writes
        return False


def has_nul(body: bytes) -> bool:
    """Whether a text of the JSON contains a NUL character, which PostgreSQL cannot store."""
    return b"\\u0000" in body and re.search(rb"(?<!\\)(?:\\\\)*\\u0000", body) is not None
