"""Which messages of a batch are handled now. A message is handled once, however often it comes.

What comes by Kafka or HTTP is entered into the inbox; outcomes, timers and parked messages are claimed by deleting
their row. CloudEvents identifies a message by its source and id: one that has the identity of an earlier message and
says something else is a message of its own, which is refused or parked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from shared.core import Command, Message
from shared.core.fast_dataclasses import replace
from shared.shell.inbound.message import Inbound, Repeated, same_subject
from shared.shell.ports.store import Transaction
from shared.shell.service.registry import HandlerRegistry


@dataclass(slots=True)
class Claimed:
    fresh: list[Inbound] = field(default_factory=list)
    """What is to be handled, in the order in which it came."""
    duplicates: list[Inbound] = field(default_factory=list)
    reworded: list[Inbound] = field(default_factory=list)
    """Those duplicates from our own services that have another body: decided again after a database was restored."""
    parked_keys: dict[str, str] = field(default_factory=dict)
    """Keys that have parked messages, and why: `failed`, or `newer` where all wait for a newer build."""


async def claim(
    tx: Transaction,
    registry: HandlerRegistry,
    worker: str,
    inbounds: Sequence[Inbound],
    now: datetime,
    *,
    by_key: bool = True,
) -> Claimed:
    """`by_key`: ask which keys are parked as well."""
    claimed = Claimed()
    if any(inbound.parked for inbound in inbounds):
        inbounds = await _unparked(tx, inbounds, claimed)
    contents: dict[UUID, int] = {}
    for inbound in inbounds:
        if inbound.in_inbox:
            contents.setdefault(inbound.identity, inbound.first_content)
    keys = {inbound.key for inbound in inbounds if inbound.parked is None and by_key}
    new: set[UUID] = set()
    if contents or keys:
        new, claimed.parked_keys = await tx.claim(contents, keys, now)
    rows = _Rows(await _finished(tx, worker, inbounds), await _fired(tx, inbounds))
    fresh: list[Inbound | None] = []  # at each message's place; None where it is claimed already
    for inbound in inbounds:
        if inbound.in_inbox:
            is_new = inbound.identity in new
            new.discard(inbound.identity)
        else:
            is_new = rows.take(inbound)
        fresh.append(inbound if is_new else None)
    if None in fresh:
        await _compare(tx, registry, inbounds, fresh, contents, claimed, now)
    claimed.fresh = [inbound for inbound in fresh if inbound]
    return claimed


async def _unparked(tx: Transaction, inbounds: Sequence[Inbound], claimed: Claimed) -> list[Inbound]:
    """Without parked messages whose row is gone: another request has handled or dropped them."""
    still_parked = []
    for inbound in inbounds:
        if inbound.parked is None or await tx.unpark(inbound.parked.id):
            still_parked.append(inbound)
        else:
            claimed.duplicates.append(inbound)
    return still_parked


@dataclass(slots=True)
class _Rows:
    """Rows that were deleted, each to be claimed once."""

    finished: set[UUID]
    fired: set[tuple[str, str]]

    def take(self, inbound: Inbound) -> bool:
        if inbound.parked:
            return True
        if inbound.operation:
            is_claimed = inbound.operation[0].id in self.finished
            self.finished.discard(inbound.operation[0].id)
            return is_claimed
        assert inbound.timer is not None
        is_claimed = (inbound.timer.key, inbound.timer.name) in self.fired
        self.fired.discard((inbound.timer.key, inbound.timer.name))
        return is_claimed


async def _finished(tx: Transaction, worker: str, inbounds: Sequence[Inbound]) -> set[UUID]:
    rows = [inbound.operation[0] for inbound in inbounds if inbound.operation and not inbound.parked]
    return await tx.finish([(row.id, worker, row.lease) for row in rows]) if rows else set()


async def _fired(tx: Transaction, inbounds: Sequence[Inbound]) -> set[tuple[str, str]]:
    timers = [inbound.timer for inbound in inbounds if inbound.timer]
    return await tx.fire(timers) if timers else set()


async def _compare(
    tx: Transaction,
    registry: HandlerRegistry,
    inbounds: Sequence[Inbound],
    fresh: list[Inbound | None],
    contents: dict[UUID, int],
    claimed: Claimed,
    now: datetime,
) -> None:
    """Sort out what was claimed before: what says the same is dropped, what says something else becomes ours."""
    fresh_identities = {inbound.identity for inbound in fresh if inbound}
    known = [(place, inbound) for place, inbound in enumerate(inbounds) if fresh[place] is None]
    asked = {inbound.identity for _, inbound in known if inbound.content} - fresh_identities
    first_contents = contents | dict(await tx.contents(asked) if asked else {})
    others = {place: other for place, inbound in known if (other := _other(registry, inbound, first_contents, claimed))}
    new_entries = {other.identity: other.content for other in others.values()}
    new, _ = await tx.claim(new_entries, (), now) if new_entries else (set[UUID](), set[str]())
    for place, inbound in known:
        other = others.get(place)
        if other and other.identity in new:
            new.discard(other.identity)
            fresh[place] = other
        else:
            claimed.duplicates.append(inbound)


def _other(
    registry: HandlerRegistry, inbound: Inbound, first_contents: dict[UUID, int], claimed: Claimed
) -> Inbound | None:
    """A message that has the identity of an earlier one and says something else, under an identity of its own."""
    content = first_contents.get(inbound.identity, inbound.content) if inbound.content else 0
    if content in (0, inbound.content):
        return None
    if inbound.source in registry.siblings and same_subject(content, inbound.content):
        claimed.reworded.append(inbound)
        return None
    message = inbound.message
    asked_for = inbound.parked is not None and not isinstance(message, Command)  # staff try a fact again
    if isinstance(message, Message) and not asked_for:
        message = Repeated(type(message))
    return replace(inbound, message=message, claim=inbound.apart)
