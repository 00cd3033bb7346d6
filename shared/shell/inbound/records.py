"""From a Kafka record to a message for the core."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from shared.contracts.envelope import (
    MAX_HEADER,
    BadBody,
    BadEnvelope,
    Envelope,
    UnknownMessage,
    decode,
    from_headers,
    message_type,
    read_key,
)
from shared.contracts.problems import MAX_PROBLEMS
from shared.contracts.readable import readable_part
from shared.core import MESSAGES, Command, Message, Problem
from shared.shell.inbound.errors import describe, printable
from shared.shell.inbound.message import (
    Inbound,
    Malformed,
    Meta,
    RecordSource,
    Undecodable,
    UnknownCommand,
    WrongEnvelope,
    content_of,
    identity_of,
    kept_source,
    named_store,
    record_id,
)
from shared.shell.ports.bus import BusRecord
from shared.shell.service.registry import HandlerRegistry

log = structlog.get_logger(__name__)
NO_TIME = datetime(2010, 1, 1, tzinfo=UTC)
"""A record's time is not known where it is earlier: there was no Kafka. Its producer sets it, some in other units."""
OnUnknown = Callable[[str, int], None]
"""Is told the type and version of an event that this build does not know."""


def _ignored(type: str, version: int) -> None:
    pass


def inbound_of(registry: HandlerRegistry, record: BusRecord, on_unknown: OnUnknown = _ignored) -> Inbound | None:
    """A record as a message for the core; None for an event that this service does not handle, or that this build does
    not know.

    Never raises: what cannot be read becomes `Undecodable` (parked), a command with an invalid body `Malformed`, one
    with an invalid key or header `WrongEnvelope`, one of an unknown type or version `UnknownCommand` (all refused).
    """
    if not record.unreadable and (record.topic, dict(record.headers).get("ce_type")) in registry.foreign:
        return None
    place = RecordSource(record.topic, record.partition, record.offset, record.key, record.headers, record.value)
    if record.unreadable:
        return undecodable(record, record.unreadable)
    try:
        try:
            return _read(registry, record, place, on_unknown)
        except BadEnvelope as wrong:
            return _wrong_command(registry, record, place, wrong) or undecodable(record, str(wrong))
    except Exception as bug:
        log.exception("record cannot be read", record=place.place, error=type(bug).__name__)
        return undecodable(record, describe(bug))


def _read(registry: HandlerRegistry, record: BusRecord, place: RecordSource, on_unknown: OnUnknown) -> Inbound | None:
    envelope = from_headers(record.headers, record.key)
    message: object
    try:
        kind = message_type(envelope)
        if kind.topic.name != record.topic:
            text = f"{kind.type} does not belong on this topic, but on {kind.topic.name}"
            raise BadEnvelope(text, [Problem(field="ce_type", code="other_topic", text=text)])
        if registry.handles(kind):
            message = _decoded(registry, kind, record, envelope)
        elif issubclass(kind, Command):
            message = UnknownCommand(envelope.type, envelope.version)
        else:
            return None
    except UnknownMessage:
        if record.topic not in registry.command_topics:
            on_unknown(envelope.type, envelope.version)
            return None
        message = UnknownCommand(envelope.type, envelope.version)
    by_customer = record.topic in registry.storefront_topics
    identity = identity_of(envelope.source, envelope.id)
    return Inbound(
        envelope.id,
        envelope.subject,
        message,
        Meta(
            envelope.correlation_id or str(envelope.id),
            envelope.store,
            envelope.traceparent,
            envelope.actor or ("customer" if by_customer else "system"),
        ),
        place,
        claim=identity,
        # A fact that is published in two versions has one id: the version that comes first is handled.
        content=0 if envelope.versions else content_of(envelope.type, envelope.subject, record.value or b""),
        source=envelope.source,
        occurred=_occurred(envelope.time, record),
        named=str(identity) if envelope.source == kept_source(registry.name) else "",
    )


def _occurred(said: datetime, record: BusRecord) -> datetime:
    """When a message came to be: what it says; where that is to come, when it was published. By this a decision that is
    made again after a restore knows that a provider may have forgotten its key."""
    return min(said, record.at) if record.at > NO_TIME else said


def _decoded(registry: HandlerRegistry, kind: type[Message], record: BusRecord, envelope: Envelope) -> object:
    try:
        message = decode(kind, record.value)
    except BadBody as wrong:
        if issubclass(kind, Command):
            checks = registry.handler(kind)[1].also_wrong is not None
            return Malformed.of(wrong, readable_part(kind, record.value) if checks else None)
        return Undecodable(kind.type, str(wrong), newer=envelope.source == kind.topic.owner)
    if isinstance(message, Command) and envelope.store and named_store(message) not in ("", envelope.store):
        text = "The body names another store than the header ce_store."
        return Malformed(kind, (Problem(field="store", code="other_store", text=text),))
    return message


def _wrong_command(
    registry: HandlerRegistry, record: BusRecord, place: RecordSource, wrong: BadEnvelope
) -> Inbound | None:
    """What came on a topic of commands, and has a key or a type by which its sender can be answered: under its key, or
    else under its place. None for anything else."""
    said = _said(record)
    key, wrong_key = read_key(record.key)
    type = said.get("ce_type", "")
    if record.topic not in registry.command_topics or not wrong.problems or (wrong_key and not type):
        return None
    problems = [*wrong.problems, *_body_problems(registry, type, record)]
    identity = record_id(record.topic, record.partition, record.offset, record.at)
    named = said.get("ce_id", "")
    sender = said.get("ce_actor") or ("customer" if record.topic in registry.storefront_topics else "system")
    return Inbound(
        identity,
        place.place if wrong_key else key,
        WrongEnvelope(printable(type, 100), tuple(problems[:MAX_PROBLEMS])),
        Meta(said.get("ce_correlationid") or named or str(identity), said.get("ce_store", ""), actor=sender),
        place,
        occurred=record.at,
        named=named,
    )


def _said(record: BusRecord) -> dict[str, str]:
    """The headers that can be read, by name in lower case."""
    said: dict[str, str] = {}
    for name, value in record.headers:
        with contextlib.suppress(UnicodeDecodeError):
            if value and (text := value.decode()).isprintable() and len(text) <= MAX_HEADER:
                said[name.lower()] = text
    return said


def _body_problems(registry: HandlerRegistry, type: str, record: BusRecord) -> Sequence[Problem]:
    """What else is wrong, so that all of it can be corrected at once."""
    kind = MESSAGES.get((type, 1))
    if kind is not None and kind.topic.name == record.topic and registry.handles(kind):
        try:
            decode(kind, record.value)
        except BadBody as wrong:
            return wrong.problems
    return ()


def undecodable(record: BusRecord, error: str) -> Inbound:
    """Under its key where it has one, or else under its place, so that it delays nothing else."""
    key, wrong = read_key(record.key)
    kind = (dict(record.headers).get("ce_type") or b"").decode("utf-8", "replace")
    identity = record_id(record.topic, record.partition, record.offset, record.at)
    message = Undecodable(printable(kind, 100), error, bool(record.unreadable))
    place = RecordSource(record.topic, record.partition, record.offset, record.key, record.headers, record.value)
    return Inbound(identity, place.place if wrong else key, message, Meta(), place)
