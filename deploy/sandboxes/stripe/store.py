"""Books, idempotency keys and clock on top of the journal: a commit is written first, then applied."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import orjson

from deploy.sandboxes.stripe.books import Books, Event, Transaction
from deploy.sandboxes.stripe.idempotency import IdempotencyKeys, Kept
from deploy.sandboxes.stripe.journal import Journal, Place
from deploy.sandboxes.stripe.objects import KINDS, NAMES, Record

LISTS = {"allowed_payment_method_types", "refunds"}
"""Fields that are tuples in a record and lists in JSON."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request is answered with, and again whenever its idempotency key comes back."""

    status: int
    body: bytes
    request_id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key at work: its answer is to be kept."""

    key: str
    fingerprint: str
    path: str


class Clock:
    """Unix seconds, never backwards. `offset` is how far the control API moved it ahead."""

    def __init__(self) -> None:
        self.offset = 0
        self._latest = 0

    def exact(self) -> float:
        return max(float(self._latest), time.time() + self.offset)

    def now(self) -> int:
        self._latest = max(self._latest, int(time.time()) + self.offset)
        return self._latest


class Store:
    """Everything the sandbox keeps. One process per folder."""

    def __init__(self, folder: Path, subscribed: frozenset[str]) -> None:
        self._journal = Journal(folder / "stripe.journal")
        self.books = Books(subscribed)
        self.keys = IdempotencyKeys()
        self.clock = Clock()
        self.undelivered: dict[str, None] = {}
        for kind, place, payload in self._journal.replay():
            self._load(kind, place, payload)

    def _load(self, kind: str, place: Place, payload: bytes) -> None:
        match kind:
            case "C":
                for name, values in orjson.loads(payload):
                    self.books.apply(_record(KINDS[name], values))
            case "E":
                self._keep_event(payload, place)
            case "A":
                answer = orjson.loads(payload)
                kept = Kept(answer["fingerprint"], answer["path"], answer["created"], place)
                self.keys.keep(answer["key"], kept)
            case "D":
                self.undelivered.pop(payload.decode(), None)
            case "T":
                self.clock.offset = int(payload)

    def _keep_event(self, payload: bytes, place: Place) -> None:
        identifier, type_, created, wanted, _ = payload.split(b" ", 4)
        event = Event(identifier.decode(), type_.decode(), int(created), place)
        self.books.shelves[Event].put(event)
        if wanted == b"1":
            self.undelivered[event.id] = None

    def commit(self, tx: Transaction, claim: Claim | None = None, answer: Reply | None = None) -> list[str]:
        """Writes and applies a transaction with its answer; returns the ids of the events to deliver."""
        lines = [("E", self._event_line(tx, *event)) for event in tx.events]
        if claim is not None and answer is not None:
            lines.append(("A", _answer_line(tx.now, claim, answer)))
        if not lines and not tx.puts:
            return []
        lines.append(("C", orjson.dumps([(NAMES[type(record)], record) for record in tx.puts.values()])))
        places = self._journal.append(lines)
        for record in tx.puts.values():
            self.books.apply(record)
        for (_, line), place in zip(lines[: len(tx.events)], places, strict=False):
            self._keep_event(line, place)
        if claim is not None and answer is not None:
            kept = Kept(claim.fingerprint, claim.path, tx.now, places[len(tx.events)])
            self.keys.keep(claim.key, kept)
        return [event_id for event_id, type_, _ in tx.events if type_ in self.books.subscribed]

    def _event_line(self, tx: Transaction, identifier: str, type_: str, text: bytes) -> bytes:
        wanted = int(type_ in self.books.subscribed)
        return b"%s %s %d %d %s" % (identifier.encode(), type_.encode(), tx.now, wanted, text)

    def kept_answer(self, kept: Kept) -> Reply:
        """Raises nothing: what is kept is readable."""
        line = orjson.loads(self._journal.read(kept.place))
        return Reply(line["status"], orjson.dumps(line["body"]), line["request_id"])

    def event_text(self, event: Event) -> bytes:
        """The event as it happened, with what is pending as of now left as it was then."""
        return self._journal.read(event.place).split(b" ", 4)[4]

    def delivered(self, event_id: str) -> None:
        if event_id in self.undelivered:
            self._journal.append([("D", event_id.encode()), ("C", b"[]")])
            del self.undelivered[event_id]

    def advance(self, seconds: int) -> None:
        self._journal.append([("T", str(self.clock.offset + seconds).encode()), ("C", b"[]")])
        self.clock.offset += seconds

    def close(self) -> None:
        self._journal.close()


def _answer_line(now: int, claim: Claim, answer: Reply) -> bytes:
    return orjson.dumps(
        {
            "key": claim.key,
            "fingerprint": claim.fingerprint,
            "path": claim.path,
            "created": now,
            "request_id": answer.request_id,
            "status": answer.status,
            "body": orjson.Fragment(answer.body),
        }
    )


FIELDS = {kind: frozenset(field.name for field in fields(kind)) for kind in KINDS.values()}


def _record(kind: type[Any], values: dict[str, Any]) -> Record:
    """Fields that a newer version dropped are ignored, those that it added have their defaults."""
    if not values.keys() <= FIELDS[kind]:
        values = {name: value for name, value in values.items() if name in FIELDS[kind]}
    for name in LISTS & values.keys():
        values[name] = None if values[name] is None else tuple(values[name])
    record: Record = kind(**values)
    return record
