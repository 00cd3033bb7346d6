"""The spans of a worker: one per message, per attempt of an operation, and per command by HTTP.

Attributes are ids, types and counts. No bodies, no texts of errors: they may contain personal data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from datetime import datetime

from shared.core import Command, FailedOutcome, NoOutcome, Operation, Outcome, Report
from shared.shell.inbound.message import Inbound, Malformed, Meta, Repeated, Undecodable, type_of
from shared.shell.observability.tracing import (
    attempt_span_of,
    child_of,
    context_of,
    key_context,
    parked_span_of,
    span_of,
    trace_of,
)
from shared.shell.ports.rows import OperationRow
from shared.shell.ports.tracer import Kind, Span, Value
from shared.shell.service.registry import HandlerRegistry


def batch_spans(
    registry: HandlerRegistry,
    decided: Sequence[tuple[Inbound, str]],
    new_keys: Set[str],
    began: datetime,
    ended: datetime,
) -> Iterator[Span]:
    """A committed batch: each message that was new, with its verdict, and the keys that had no row before."""
    unknown_keys = set(new_keys)
    for inbound, outcome in decided:
        if inbound.key in unknown_keys:
            unknown_keys.discard(inbound.key)
            yield from _key_span(registry, inbound, began, ended)
        yield _message_span(registry, inbound, outcome, began, ended, len(decided))


def _key_span(registry: HandlerRegistry, inbound: Inbound, began: datetime, ended: datetime) -> Iterator[Span]:
    """The root of the key's trace, where the message came from outside and in no other trace. (A key that two services
    know by messages from outside, such as a SKU, gets it from both, under the same id.)"""
    own = key_context(inbound.key)
    given = context_of(inbound.meta.traceparent, inbound.key)
    if given == own or (inbound.reply is not None and trace_of(given) == trace_of(own)):
        message = inbound.message
        core, _ = registry.handler(message.kind if isinstance(message, Malformed | Repeated) else type(message))
        yield Span(core.kind.__name__, "internal", own, "", began, ended, {"orderbus.key": inbound.key})


def _message_span(
    registry: HandlerRegistry, inbound: Inbound, outcome: str, began: datetime, ended: datetime, batch: int
) -> Span:
    parent = context_of(inbound.meta.traceparent, inbound.key)
    parked = outcome == "parked"
    identity = (parked_span_of if parked else span_of)(inbound.id, registry.salt)
    attributes: dict[str, Value] = {
        "orderbus.key": inbound.key,
        "orderbus.message": type_of(inbound.message),
        "orderbus.message_id": str(inbound.id),
        "orderbus.outcome": outcome,
        "orderbus.batch_size": batch,
    }
    if inbound.meta.store:
        attributes["orderbus.store"] = inbound.meta.store
    if inbound.record:
        attributes |= {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": inbound.record.topic,
            "messaging.destination.partition.id": str(inbound.record.partition),
            "messaging.kafka.offset": inbound.record.offset,
        }
    name = "undecodable" if isinstance(inbound.message, Undecodable) else type_of(inbound.message)
    kind: Kind = "consumer" if inbound.record else "internal"
    return Span(name, kind, child_of(parent, identity), parent, began, ended, attributes, failed=parked)


def attempt_meta(row: OperationRow) -> Meta:
    """What an operation's outcome comes back in: its own, in the trace context of this try."""
    meta = Meta.load(row.meta)
    inner = child_of(context_of(meta.traceparent, row.key), attempt_span_of(row.id, row.lease))
    return Meta(meta.correlation_id, meta.store, inner, meta.actor)


def attempt_context(row: OperationRow) -> str:
    """The trace context inside one try: what the outside gets, and what the outcome comes back in."""
    parent = context_of(Meta.load(row.meta).traceparent, row.key)
    return child_of(parent, attempt_span_of(row.id, row.lease))


def attempt_span(
    row: OperationRow, operation: Operation, answer: Outcome | NoOutcome, began: datetime, ended: datetime
) -> Span:
    attributes: dict[str, Value] = {
        "orderbus.key": row.key,
        "orderbus.operation": row.kind,
        "orderbus.operation_id": str(row.id),
        "orderbus.attempt": row.attempts + 1,
        "orderbus.in_doubt": row.in_doubt,
        "orderbus.outcome": type(answer).__name__.lower(),
    }
    if isinstance(answer, FailedOutcome):
        attributes["orderbus.code"] = answer.code
    parent = context_of(Meta.load(row.meta).traceparent, row.key)
    failed = isinstance(answer, NoOutcome | FailedOutcome)
    return Span(row.kind, "client", attempt_context(row), parent, began, ended, attributes, failed=failed)


def request_span(
    message: Command | Report, key: str, outcome: str, context: str, parent: str, began: datetime, ended: datetime
) -> Span:
    """A command or a provider's callback by HTTP, until its commit."""
    attributes: dict[str, Value] = {
        "orderbus.key": key,
        "orderbus.message": type_of(message),
        "orderbus.outcome": outcome,
    }
    answered = outcome in ("accepted", "duplicate", "refused")
    name = f"HTTP {type_of(message)}"
    return Span(name, "server", context, parent, began, ended, attributes, failed=not answered)
