"""What always holds of an order's notifications. Tests, the simulation and `orderbus check` ask these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from services.notifications.domain import mails, webhooks
from services.notifications.domain.operations import PostWebhook, SendEmail
from services.notifications.domain.state import LOST, NOT_DELIVERED, Endpoints, NotificationLog

BESIDE = timedelta(seconds=5)
"""An endpoint registered this shortly before a fact may or may not have been seen by it."""
CLOCKS = timedelta(minutes=1)
"""By which the clocks of two workers may differ."""


def broken(thread: NotificationLog, endpoints: Endpoints | None, *, at_rest: bool = False) -> Iterator[str]:
    """The rules that one order's notifications break, in words. `at_rest`: nothing should be pending any more."""
    yield from _absent_mails(thread)
    yield from _absent_postings(thread, endpoints)
    yield from _given_up_early(thread)
    yield from _without_reason(thread)
    ids = [*(mail.id for mail in thread.mails), *(posting.id for posting in thread.postings)]
    yield from (f"the message id {id} is used {n} times" for id, n in Counter(ids).items() if n > 1)
    if at_rest:
        yield from (f"mail {m.template} ({m.fact}) is still pending" for m in thread.mails if m.state == "pending")
        yield from (
            f"{p.event} ({p.fact}) to endpoint {p.endpoint} is still pending"
            for p in thread.postings
            if p.state == "pending"
        )


def _absent_mails(thread: NotificationLog) -> Iterator[str]:
    there = Counter((mail.fact, mail.template) for mail in thread.mails)
    wanted = Counter((fact.name, template) for fact in thread.facts for template in mails.TEMPLATES.get(fact.kind, ()))
    yield from (f"mail {template} ({fact}) is absent" for fact, template in wanted - there)
    yield from (f"mail {template} ({fact}) was sent more than once" for fact, template in there - wanted)


def _absent_postings(thread: NotificationLog, endpoints: Endpoints | None) -> Iterator[str]:
    there = Counter((posting.fact, posting.event, posting.endpoint) for posting in thread.postings)
    for fact in thread.facts:
        for event, endpoint in webhooks.due(fact, endpoints):
            if endpoint.since <= fact.at - BESIDE and (fact.name, event, endpoint.id) not in there:
                yield f"{event} ({fact.name}) to endpoint {endpoint.id} is absent"
    yield from (f"{event} ({fact}) is posted twice to {to}" for (fact, event, to), n in there.items() if n > 1)


def _given_up_early(thread: NotificationLog) -> Iterator[str]:
    """What was given up was really tried, over all its time."""
    facts = {fact.name: fact.at for fact in thread.facts}
    ended = [
        *(
            (f"mail {m.template} ({m.fact})", m.fact, m.attempts, m.at, SendEmail.give_up_after)
            for m in thread.mails
            if m.state == "failed" and m.code == "gave_up"
        ),
        *(
            (f"{p.event} ({p.fact}) to endpoint {p.endpoint}", p.fact, p.attempts, p.at, PostWebhook.give_up_after)
            for p in thread.postings
            if p.state == "exhausted"
        ),
    ]
    for what, fact, attempts, at, bound in ended:
        if not attempts:
            yield f"{what} was given up without one try"
        elif at is None or bound is None or at - facts[fact] < bound - CLOCKS:
            yield f"{what} was given up before its time"


def _without_reason(thread: NotificationLog) -> Iterator[str]:
    """Whatever did not arrive, or waits for another try, says why; and a lost mail can be sent again."""
    for mail in thread.mails:
        if (mail.state in LOST or mail.next) and not (mail.text and mail.content):
            yield f"mail {mail.template} ({mail.fact}) is {mail.state} and does not say why, or cannot be sent again"
    for posting in thread.postings:
        if posting.state in NOT_DELIVERED and not posting.text:
            yield f"{posting.event} ({posting.fact}) to endpoint {posting.endpoint} is {posting.state} without a reason"
