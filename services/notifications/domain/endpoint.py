"""Webhook endpoints of a store: registered, replaced, paused, resumed, removed. One row per store."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.contracts.notifications import PauseWebhook, RegisterWebhook, RemoveWebhook, ResumeWebhook
from shared.contracts.store_status import StoreStatusRecord
from shared.core import Command, Context, Core, Decision, Question, Ref, Refused
from shared.core.fast_dataclasses import replace

MAX_ENDPOINTS = 50
"""Per store: every event of the store goes to each."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a store's events are sent."""

    id: str
    url: str
    events: tuple[str, ...]
    secret: str = field(repr=False)
    """Standard Webhooks signing secret, `whsec_…`."""
    since: datetime
    """Registered or last replaced: it gets what happens later."""
    paused: bool = False
    reason: str = ""
    """Why it is paused."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints of one store. Key: the store's id."""

    endpoints: tuple[Endpoint, ...] = ()
    known: bool = False
    """Checkout has told of the store."""

    def find(self, endpoint: str) -> Endpoint | None:
        return next((known for known in self.endpoints if known.id == endpoint), None)


endpoints = Core(Endpoints, missing=Refused("unknown_endpoint", "The store has no webhook endpoints."))


class OtherStores(Question):
    """Whether checkout has told of any other store. An older build of it tells of none."""

    store: str


def other_stores(
    command: Command, key: str, known: Endpoints | None, rows: Mapping[Ref[Any], Any]
) -> Iterator[OtherStores]:
    if not is_store(known):
        yield OtherStores(key)


def unknown_store(known: Endpoints | None, context: Context) -> Refused | None:
    """For a command that asks `other_stores`. Until checkout has told of any store, each is taken for one."""
    if is_store(known) or not context.answer(OtherStores(context.key)):
        return None
    return Refused("unknown_store", f"There is no store {context.key}: define it first.")


def is_store(known: Endpoints | None) -> bool:
    """Whether there certainly is such a store. One with endpoints has been one before checkout told of any."""
    return known is not None and (known.known or bool(known.endpoints))


@endpoints.begins(StoreStatusRecord)
def told(known: Endpoints | None, record: StoreStatusRecord, context: Context) -> Decision[Endpoints]:
    known = known or Endpoints()
    return Decision(known if known.known else replace(known, known=True))


@endpoints.begins(RegisterWebhook, asks=other_stores)
def register(known: Endpoints | None, command: RegisterWebhook, context: Context) -> Decision[Endpoints] | Refused:
    if refused := unknown_store(known, context):
        return refused
    known = known or Endpoints()
    if not is_secret(command.secret):
        return Refused("bad_secret", "Invalid secret: specify `whsec_` and the base64 of 24 to 64 bytes.")
    others = tuple(e for e in known.endpoints if e.id != command.endpoint)
    if len(others) >= MAX_ENDPOINTS:
        return Refused("too_many_endpoints", f"A store can have {MAX_ENDPOINTS} webhook endpoints. Remove one first.")
    events = tuple(dict.fromkeys(command.events))
    new = Endpoint(command.endpoint, command.url, events, command.secret, since=context.at)
    return Decision(replace(known, endpoints=(*others, new)))


@endpoints.on(RemoveWebhook)
def remove(known: Endpoints, command: RemoveWebhook, context: Context) -> Decision[Endpoints] | Refused:
    if known.find(command.endpoint) is None:
        return unknown(command.endpoint)
    return Decision(replace(known, endpoints=tuple(e for e in known.endpoints if e.id != command.endpoint)))


@endpoints.on(PauseWebhook)
def pause(known: Endpoints, command: PauseWebhook, context: Context) -> Decision[Endpoints] | Refused:
    return set_paused(known, command.endpoint, True, command.reason)


@endpoints.on(ResumeWebhook)
def resume(known: Endpoints, command: ResumeWebhook, context: Context) -> Decision[Endpoints] | Refused:
    return set_paused(known, command.endpoint, False)


def is_secret(secret: str) -> bool:
    """Whether it is a signing secret as Standard Webhooks defines it."""
    try:
        return 24 <= len(base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)) <= 64
    except ValueError:
        return False


def set_paused(known: Endpoints, endpoint: str, paused: bool, reason: str = "") -> Decision[Endpoints] | Refused:
    found = known.find(endpoint)
    if found is None:
        return unknown(endpoint)
    if found.paused == paused:
        return Decision(known)
    changed = replace(found, paused=paused, reason=reason)
    return Decision(replace(known, endpoints=tuple(changed if e.id == endpoint else e for e in known.endpoints)))


def unknown(endpoint: str) -> Refused:
    return Refused("unknown_endpoint", f"The store has no webhook endpoint {endpoint}.")
