"""Sending again all that a store lost in a period: find the orders, then have each send what it lost."""

from __future__ import annotations

from dataclasses import replace

from services.notifications.domain.endpoints import endpoints
from services.notifications.domain.operations import FindLost
from services.notifications.domain.state import Endpoints
from shared.contracts.notifications import ReplayLostWebhooks, ReplayWebhooks, ResendLostMails, ResendMails
from shared.core import Command, Context, Decision, Refused

Answer = Decision[Endpoints] | Refused


@endpoints.on_old(ResendLostMails)
def resend_lost_mails(state: Endpoints | None, command: ResendLostMails, context: Context) -> Answer:
    until = command.until or context.at
    return _look(state, FindLost(context.key, "mails", command.since, until))


@endpoints.on_old(ReplayLostWebhooks)
def replay_lost_webhooks(state: Endpoints | None, command: ReplayLostWebhooks, context: Context) -> Answer:
    until = command.until or context.at
    return _look(state, FindLost(context.key, "webhooks", command.since, until, command.endpoint))


@endpoints.on_old(FindLost.Done)
def found(state: Endpoints | None, outcome: FindLost.Done, context: Context) -> Answer:
    """A page of orders: each is told, and the next page looked for. Mails one by one, for one that somebody has sent
    again meanwhile is refused, and with it all that it is named with."""
    looked = context.operation
    assert isinstance(looked, FindLost)
    sends: list[tuple[str, Command]] = []
    for order, messages in outcome.orders:
        if looked.what == "mails":
            sends += [(order, ResendMails(messages=(message,))) for message in messages]
        else:
            sends.append((order, ReplayWebhooks(messages=messages)))
    more = [] if outcome.next is None else [replace(looked, after=outcome.next)]
    return Decision(state, operations=more, commands=sends)


@endpoints.on_old(FindLost.Failed, FindLost.Unresolved)
def not_found(state: Endpoints | None, outcome: FindLost.Failed | FindLost.Unresolved, context: Context) -> Answer:
    """Never: the own database comes back, and is asked until it does."""
    return Decision(state)


def _look(state: Endpoints | None, wanted: FindLost) -> Answer:
    if wanted.since >= wanted.until:
        return Refused("empty_period", "The period ends before it begins: `since` must be before `until`.")
    return Decision(state, operations=[wanted])
