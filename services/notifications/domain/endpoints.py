"""Webhook endpoints of a store: registered, replaced, paused, resumed, removed. One row per store."""

from __future__ import annotations

import base64

from services.notifications.domain.state import Endpoint, Endpoints
from shared.contracts.notifications import PauseWebhook, RegisterWebhook, RemoveWebhook, ResumeWebhook
from shared.core import Context, Core, Decision, Refused
from shared.core.fast_dataclasses import replace

MAX_ENDPOINTS = 50
"""Per store: every event of the store goes to each."""

endpoints = Core(Endpoints)
Answer = Decision[Endpoints] | Refused


@endpoints.on_old(RegisterWebhook)
def register(state: Endpoints | None, message: RegisterWebhook, context: Context) -> Answer:
    if not is_secret(message.secret):
        return Refused("bad_secret", "The secret is not whsec_ and the base64 of 24 to 64 bytes.")
    others = tuple(e for e in (state or Endpoints()).endpoints if e.id != message.endpoint)
    if len(others) >= MAX_ENDPOINTS:
        return Refused("too_many_endpoints", f"A store has at most {MAX_ENDPOINTS} endpoints; remove one first.")
    events = tuple(dict.fromkeys(message.events))
    new = Endpoint(message.endpoint, message.url, events, message.secret, since=context.at)
    return Decision(Endpoints((*others, new)))


@endpoints.on_old(RemoveWebhook)
def remove(state: Endpoints | None, message: RemoveWebhook, context: Context) -> Answer:
    if state is None or state.find(message.endpoint) is None:
        return _unknown(message.endpoint)
    return Decision(Endpoints(tuple(e for e in state.endpoints if e.id != message.endpoint)))


@endpoints.on_old(PauseWebhook)
def pause(state: Endpoints | None, message: PauseWebhook, context: Context) -> Answer:
    return _changed(state, message.endpoint, paused=True, reason=message.reason)


@endpoints.on_old(ResumeWebhook)
def resume(state: Endpoints | None, message: ResumeWebhook, context: Context) -> Answer:
    return _changed(state, message.endpoint, paused=False, reason="")


def is_secret(secret: str) -> bool:
    """Whether a signing secret is what Standard Webhooks asks for."""
    try:
        return 24 <= len(base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)) <= 64
    except ValueError:
        return False


def _changed(state: Endpoints | None, endpoint: str, *, paused: bool, reason: str) -> Answer:
    found = state.find(endpoint) if state else None
    if state is None or found is None:
        return _unknown(endpoint)
    if found.paused == paused:
        return Decision(state)
    changed = replace(found, paused=paused, reason=reason)
    return Decision(Endpoints(tuple(changed if e.id == endpoint else e for e in state.endpoints)))


def _unknown(endpoint: str) -> Refused:
    return Refused("unknown_endpoint", f"This store has no endpoint {endpoint}.")
