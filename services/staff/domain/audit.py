"""The audit log: who did what, in one chain of hashes. An entry that is changed, removed, moved or added by hand breaks
it.

Entries hold ids only: no name, no address, no text that was typed. So what is erased of a user or a customer is in none
of them, and the chain stays whole.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

BEGINNING = bytes(32)
"""What the first entry is chained to."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    number: int
    """From 1 on, without a gap."""
    at: datetime
    actor: str
    kind: str
    """What was done: `user.disabled`."""
    subject: str
    """The id of what it was done to."""
    detail: str
    """Further ids, as JSON."""


def chained(previous: bytes, entry: AuditEntry) -> bytes:
    """The hash of an entry, which includes the hash of the entry before it."""
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    fields = [entry.number, at, entry.actor, entry.kind, entry.subject, entry.detail]
    return hashlib.sha256(previous + json.dumps(fields, separators=(",", ":")).encode()).digest()


class Chain:
    """Follows the entries in order, and names what is wrong."""

    def __init__(self) -> None:
        self.number, self.hash = 0, BEGINNING
        self.problems: list[str] = []

    def follow(self, entry: AuditEntry, kept: bytes) -> None:
        """`kept`: the hash that is stored with the entry."""
        if entry.number != self.number + 1:
            between = f"{self.number} and {entry.number}" if self.number else f"the beginning and {entry.number}"
            self.problems.append(f"Entries between {between} are missing.")
        elif chained(self.hash, entry) != kept:
            self.problems.append(f"Entry {entry.number} is not the one that was written.")
        self.number, self.hash = entry.number, kept

    def end(self, number: int, hash: bytes) -> None:
        """What is kept apart from the entries: the number and the hash of the last one."""
        if number > self.number:
            self.problems.append(f"Entries {self.number + 1} to {number} are missing.")
        elif number < self.number:
            self.problems.append(f"Entries after {number} were added by hand.")
        elif hash != self.hash:
            self.problems.append(f"Entry {number} is not the last one that was written.")
