"""A parked message as a row, and the message made of the row again.

Bytes stay bytes (hexadecimal in JSON, or `bytea`), so that a retry has exactly the same record. Texts are made
printable: PostgreSQL's text has no NUL, and staff read them.
"""

from __future__ import annotations

from datetime import datetime

import orjson

from shared.contracts.envelope import read_key
from shared.core import Attempt, codec
from shared.core.fast_dataclasses import replace
from shared.shell.inbound.errors import printable
from shared.shell.inbound.message import Inbound, Meta, Undecodable, type_of
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.rows import OperationRow, ParkedRow
from shared.shell.service.registry import HandlerRegistry

PLACE_ONLY = "place"
MAX_KIND = 100


def parked_row(inbound: Inbound, reason: str, error: str, now: datetime) -> ParkedRow:
    """Everything that is needed to try a message again later. May raise for what cannot be stored."""
    if isinstance(inbound.message, Undecodable) and inbound.message.unparsed:
        return bare_row(inbound, error, now)
    kind, text = _kind(inbound), printable(error)
    if (source := inbound.record) is not None:
        place = (source.topic, source.partition, source.offset, source.key)
        headers = orjson.dumps([[_bytes(name).hex(), None if v is None else v.hex()] for name, v in source.headers])
        return ParkedRow(
            *(inbound.key, inbound.id, "record", kind, *place, headers, source.body, reason, text, now),
            identity=inbound.identity,
        )
    operation = inbound.operation and (inbound.operation[0].kind, _text(inbound.operation[0].payload))
    extra = orjson.dumps(
        {
            "meta": inbound.meta.dump().decode(),
            "operation": operation,
            "calls": inbound.operation[0].attempts if inbound.operation else 0,
            "attempts": [attempt.model_dump(mode="json") for attempt in inbound.attempts],
            "occurred": inbound.occurred,
        }
    )
    body = codec.dump(inbound.message)
    return ParkedRow(
        *(inbound.key, inbound.id, _origin(inbound), kind, "", 0, 0, None, extra, body, reason, text, now),
        identity=inbound.identity,
    )


def bare_row(inbound: Inbound, error: str, now: datetime) -> ParkedRow:
    """The last resort: place and error, and no other part of the message. Raises nothing; no database refuses it."""
    source = inbound.record
    place = (printable(source.topic, 249), source.partition, source.offset) if source else ("", 0, 0)
    key, wrong = read_key(inbound.key.encode("utf-8", "replace"))
    if wrong:
        key = source.place if source else f"{_origin(inbound)}/{inbound.id}"
    text = printable(error)
    return ParkedRow(
        *(printable(key), inbound.id, PLACE_ONLY, _kind(inbound), *place, None, b"[]", None, "failed", text, now),
        identity=inbound.identity,
    )


def _origin(inbound: Inbound) -> str:
    return "record" if inbound.record else "timer" if inbound.timer else "outcome" if inbound.operation else "report"


def _kind(inbound: Inbound) -> str:
    return printable(type_of(inbound.message), MAX_KIND)


def record_of(row: ParkedRow) -> BusRecord:
    """The record, byte by byte as it was read from Kafka."""
    headers = tuple(
        (bytes.fromhex(name).decode("utf-8", "surrogateescape"), None if value is None else bytes.fromhex(value))
        for name, value in orjson.loads(row.headers)
    )
    return BusRecord(row.topic, row.partition, row.offset, row.record_key, headers, row.body, row.at)


def message_of(registry: HandlerRegistry, row: ParkedRow) -> Inbound:
    """An outcome, timer or report as it was. Raises for one that this version of the service cannot read."""
    extra = orjson.loads(row.headers)
    message = registry.internal.load(row.kind, row.body or b"")
    operation = None
    if extra["operation"]:
        kind, payload = extra["operation"]
        requested = registry.operations.load(kind, payload)
        blank = OperationRow(
            row.message_id, row.key, kind, payload.encode(), b"", row.at, row.at, requested.destination()
        )
        operation = (replace(blank, attempts=extra.get("calls", 0)), requested)
    attempts = tuple(Attempt.model_validate(entry, strict=False) for entry in extra["attempts"])
    meta = Meta.load(extra["meta"])
    return Inbound(
        *(row.message_id, row.key, message, meta),
        operation=operation,
        attempts=attempts,
        parked=row,
        claim=row.identity,
        occurred=datetime.fromisoformat(extra["occurred"]) if extra.get("occurred") else None,
    )


def shown(row: ParkedRow, longest: int = 10_000) -> dict[str, object]:
    """Headers and body for staff: what is no text is shown as `\\xff`, what is long is cut."""
    headers: object = orjson.loads(row.headers)
    if isinstance(headers, list):
        headers = {
            _shown(bytes.fromhex(name), 200): None if value is None else _shown(bytes.fromhex(value), 2000)
            for name, value in headers[:200]
        }
    return {"headers": headers, "body": None if row.body is None else _shown(row.body, longest)}


def _shown(data: bytes, longest: int) -> str:
    return data[:longest].decode("utf-8", "backslashreplace")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
