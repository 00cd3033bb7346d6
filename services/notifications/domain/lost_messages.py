"""Sending again all that a store lost in a period: find the orders, then have each send what it lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.notifications.domain.endpoint import Endpoints, endpoints, other_stores, unknown_store
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import FindLost
from shared.contracts.notifications import ReplayLostWebhooks, ReplayWebhooks, ResendLostMails, ResendMails
from shared.core import Command, Context, Decision, Outcome, Refused
from shared.core.fast_dataclasses import replace


@endpoints.begins(ResendLostMails, asks=other_stores)
def resend_lost(known: Endpoints | None, command: ResendLostMails, context: Context) -> Decision[Endpoints] | Refused:
    return find(known, FindLost(context.key, "emails", command.since, command.until or context.at), context)


@endpoints.begins(ReplayLostWebhooks, asks=other_stores)
def replay_lost(
    known: Endpoints | None, command: ReplayLostWebhooks, context: Context
) -> Decision[Endpoints] | Refused:
    until = command.until or context.at
    return find(known, FindLost(context.key, "deliveries", command.since, until, command.endpoint), context)


@endpoints.answers(FindLost.Done)
def found(known: Endpoints, find: FindLost, outcome: FindLost.Done, context: Context) -> Decision[Endpoints]:
    """A page of orders: have each send what it lost, and find the next page. Emails one by one: a command is refused as
    a whole, also if just one of its emails was sent again meanwhile."""
    commands: list[tuple[str, Command]] = []
    for order, messages in outcome.orders:
        if find.what == "emails":
            commands += [(order, ResendMails(messages=(message,))) for message in messages]
        else:
            commands.append((order, ReplayWebhooks(messages=messages)))
    more = [] if outcome.next is None else [replace(find, after=outcome.next)]
    return Decision(known, operations=more, commands=commands)


@endpoints.answers(FindLost.Failed, FindLost.Unresolved)
def not_found(known: Endpoints, find: FindLost, outcome: Outcome, context: Context) -> Decision[Endpoints]:
    """Never: the service's own database is queried until it answers."""
    return Decision(known)


def find(known: Endpoints | None, wanted: FindLost, context: Context) -> Decision[Endpoints] | Refused:
    if refused := unknown_store(known, context):
        return refused
    if wanted.since >= wanted.until:
        return Refused("empty_period", "The period is empty: `since` must be before `until`.")
    return Decision(known or Endpoints(), operations=[wanted])


def lost_in(log: NotificationLog, period: FindLost) -> Iterator[str]:
    """The ids of an order's emails or webhook deliveries that were lost in the period."""

    def covers(at: datetime | None) -> bool:
        return at is not None and period.since <= at < period.until

    if period.what == "emails":
        yield from (email.id for email in log.emails if email.is_lost and covers(email.at))
        return
    for delivery in log.deliveries:
        if delivery.is_lost and period.endpoint in (None, delivery.endpoint) and covers(delivery.at):
            yield delivery.id
