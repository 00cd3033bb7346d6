"""What a service's own topics say already, while it decides again what a restored database has forgotten.

The message that a decision is made on can be another one than the first time, so the same fact could get another id,
and customers would be told twice. A fact that the topics have is therefore not published again: the row takes over its
number. At other times nothing of this costs anything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import UUID

from shared.contracts.envelope import Envelope
from shared.core import effect_id

if TYPE_CHECKING:
    import sqlite3

_TABLE = """
    create table facts (key text, kind text, digest blob, id blob, number integer, late integer, used_by blob,
        body blob, cause text);
    create index facts_said on facts (key, kind, digest);
"""
_FIND = """
    select rowid, number, digest from facts
    where key = :key and kind = :kind and (digest = :digest or id = :id) and (late or number > :after)
        and (used_by is null or used_by = :id)
    order by used_by is null, id <> :id, number limit 1
"""
_OTHERS = "select exists (select 1 from facts where key = :key and kind = :kind and late and used_by is null)"
_TOLD = "select body from facts where key = :key and kind = :kind and late order by number"
_CAUSED = "select kind, id from facts where key = ? and cause in (?, ?) order by kind"
_OF_EFFECT = "select rowid, number from facts where key = ? and id = ?"
_VARIES = re.compile(rb'"[0-9]{4}-[0-9]{2}-[0-9]{2}T[^"]*"|(?<=/)[A-Za-z0-9_.=-]{40,}(?=")')
"""Times of deciding, and the signed tokens of links, which have one in them."""


@dataclass(frozen=True, slots=True)
class Said:
    """A fact on a topic, or a status record."""

    key: str
    kind: str
    """Type and version."""
    body: bytes
    id: UUID
    number: int
    """Its sequence; 0 of a status record."""
    late: bool
    """It was written after the point that the database was restored to."""
    cause: str = ""
    """Id of the message that it was decided on."""


def said_by(envelope: Envelope, body: bytes, kept: Collection[str], *, late: bool) -> Said | None:
    """What a record of the service's own says: an event that is counted, or a status record of a kind in `kept`."""
    it, kind = envelope, f"{envelope.type}/{envelope.version}"
    if not it.sequence and kind not in kept:
        return None
    cause = (it.causation_id or "") if it.sequence else ""
    return Said(it.subject, kind, body, it.id, it.sequence, late, cause)


class OwnLog:
    """`epoch`: how often the database was restored. Facts are known only to the worker that catches up; they are kept
    in a temporary file, so memory stays bounded."""

    def __init__(self, kept: frozenset[str] = frozenset()) -> None:
        """`kept`: kinds of facts whose bodies are kept, too."""
        self.epoch, self.kept = 0, kept
        self._facts: sqlite3.Connection | None = None
        self.withheld = 0
        """Facts that were not published again."""
        self.different: dict[str, set[str]] = {}
        """Keys of which the topics have another fact than was decided now, and its types."""

    @property
    def is_open(self) -> bool:
        return self._facts is not None

    def open(self) -> None:
        import sqlite3  # noqa: PLC0415  # 1.5 MB that other workers do not need

        self._facts = sqlite3.connect("")
        self._facts.executescript(_TABLE)

    def add(self, said: Iterable[Said]) -> None:
        assert self._facts is not None
        rows = (
            (
                *(one.key, one.kind, _digest(one.body), one.id.bytes, one.number, one.late),
                one.body if one.kind in self.kept else None,
                one.cause,
            )
            for one in said
        )
        with self._facts:
            self._facts.executemany("insert into facts values (?, ?, ?, ?, ?, ?, null, ?, ?)", rows)

    def number_of(self, key: str, kind: str, body: bytes, effect: UUID, after: int) -> int | None:
        """The number of the fact with the same contents, or of the same effect, that no other effect stands for; None
        where it must be published. `after`: the number of the row's last event. The same effect gets the same answer: a
        batch may be repeated."""
        assert self._facts is not None
        given = {"key": key, "kind": kind, "digest": _digest(body), "id": effect.bytes, "after": after}
        found = self._facts.execute(_FIND, given).fetchone()
        if found is None:
            if self._facts.execute(_OTHERS, given).fetchone()[0]:
                self._note(key, kind)
            return None
        rowid, number, digest = found
        if digest != given["digest"]:  # readers know it by its id: what it says now would not be read
            self._note(key, kind)
        self._facts.execute("update facts set used_by = ? where rowid = ?", (effect.bytes, rowid))
        self.withheld += 1
        return int(number)

    def told(self, key: str, kind: str) -> list[bytes]:
        """The bodies of the facts that were told since the restored point, of a kind in `kept`."""
        assert self._facts is not None
        return [row[0] for row in self._facts.execute(_TOLD, {"key": key, "kind": kind})]

    def caused(self, key: str, ids: tuple[UUID, UUID], seed: UUID) -> list[str]:
        """The types of what a message brought about when it was decided before. `ids`: its own, and that in the inbox,
        which is the own one of a command over HTTP whose copy is read. `seed`: what the ids of its effects derive from,
        unlike those of a message of another source with the same id."""
        assert self._facts is not None
        found = self._facts.execute(_CAUSED, (key, *map(str, ids))).fetchall()
        caused = [(kind.partition("/")[0], UUID(bytes=id)) for kind, id in found]
        return list(dict.fromkeys(type for type, id in caused if _is_effect(id, seed, f"{type} {key}", len(caused))))

    def said_already(self, key: str, effect: UUID) -> int | None:
        """The number of the fact with this id, which then stands for this effect; None where there is none."""
        assert self._facts is not None
        found = self._facts.execute(_OF_EFFECT, (key, effect.bytes)).fetchone()
        if found is None:
            return None
        rowid, number = found
        self._facts.execute("update facts set used_by = ? where rowid = ?", (effect.bytes, rowid))
        self.withheld += 1
        return int(number)

    def _note(self, key: str, kind: str) -> None:
        self.different.setdefault(key, set()).add(kind.partition("/")[0])

    def close(self) -> None:
        if self._facts is not None:
            self._facts.close()
            self._facts = None


def _is_effect(id: UUID, seed: UUID, name: str, most: int) -> bool:
    return any(id == effect_id(seed, name, index) for index in range(1, most + 1))


def _digest(body: bytes) -> bytes:
    """Without what differs from one time to another."""
    return blake2b(_VARIES.sub(b"", body), digest_size=16).digest()
