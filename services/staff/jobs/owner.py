"""The way to the services that own orders: sends one command, and tells what its owner says to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, Protocol

import orjson

REFUSED = frozenset(
    {
        *(HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
        *(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY),
    }
)
PASSING = frozenset({"newer", "parked"})
"""Refusals that say nothing of the command: another try may go better."""
FORGOTTEN = "outcome_forgotten"


@dataclass(frozen=True, slots=True)
class OrderCommand:
    """A command to one order."""

    service: str
    """Its owner."""
    path: str
    """Of the owner's route: `/orders/<order>/cancel`."""
    body: Mapping[str, Any]
    key: str
    """Its Idempotency-Key: the same command has the same one, however often it is sent."""
    actor: str
    """In whose name."""
    permissions: tuple[str, ...]
    """What the actor needs for it, and has in the order's store."""
    store: str


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    state: Literal["done", "refused", "unknown"]
    """`unknown`: its owner does not say whether it was done: it was sent under this key before and its outcome is no
    longer kept, or its order is held up."""
    code: str = ""
    text: str = ""
    """Of a refusal, in its owner's words."""


DONE = CommandOutcome("done")


class OwnerAway(Exception):
    """The owner gives no answer now. The same command can be sent again. The text is for staff."""


class OrderHeldUp(OwnerAway):
    """Its owner answers, but not yet for this order: something of it is parked, for instance."""


class CommandSender(Protocol):
    async def send(self, command: OrderCommand) -> CommandOutcome:
        """Raises OwnerAway."""


class UnknownOwners:
    """The CommandSender of a staff service that is not told where the others are: its jobs wait."""

    async def send(self, command: OrderCommand) -> CommandOutcome:
        raise OwnerAway(f"This staff service does not know where {command.service} is.")


def outcome_of(service: str, status: int, body: bytes) -> CommandOutcome:
    """What an owner's answer over HTTP says. Raises OwnerAway where it says nothing of the command."""
    if status == HTTPStatus.ACCEPTED:
        return DONE
    try:
        problem = orjson.loads(body)
        code, title = str(problem["code"]), str(problem["title"])
        texts = [f"{each.get('field') or ''}: {each.get('text')}".lstrip(": ") for each in problem.get("problems", ())]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise OwnerAway(f"{service} answers {status}, not as orderbus does.") from None
    if code == FORGOTTEN:
        return CommandOutcome("unknown", code, title)
    if status not in REFUSED or code in PASSING:
        passing = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
        raise (OwnerAway if passing else OrderHeldUp)(f"{service} answers {status}: {title}")
    new = [text for text in texts if text.removesuffix(".") not in title]
    return CommandOutcome("refused", code, " ".join([title, *new]))
