"""What must always hold (DESIGN, invariant 7), as a function that tests, the simulation and the running check share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from services.notifications.domain import mails, webhooks
from services.notifications.domain.state import Endpoints, Thread

BESIDE = timedelta(seconds=5)
"""An endpoint registered this shortly before a fact may or may not have been seen by it."""


def broken(thread: Thread, endpoints: Endpoints | None, *, at_rest: bool = True) -> Iterator[str]:
    """Every promise that this order's thread does not keep, in words. `at_rest`: nothing should be pending any more."""
    yield from _absent_mails(thread)
    yield from _absent_postings(thread, endpoints)
    ids = [*(mail.id for mail in thread.mails), *(posting.id for posting in thread.postings)]
    yield from (f"the message id {id} is used {n} times" for id, n in Counter(ids).items() if n > 1)
    if at_rest:
        yield from (f"mail {m.template} ({m.fact}) is still pending" for m in thread.mails if m.state == "pending")
        yield from (
            f"{p.event} ({p.fact}) to endpoint {p.endpoint} is still pending"
            for p in thread.postings
            if p.state == "pending"
        )


def _absent_mails(thread: Thread) -> Iterator[str]:
    there = Counter((mail.fact, mail.template) for mail in thread.mails)
    wanted = Counter((fact.name, template) for fact in thread.facts for template in mails.TEMPLATES.get(fact.kind, ()))
    yield from (f"mail {template} ({fact}) is absent" for fact, template in wanted - there)
    yield from (f"mail {template} ({fact}) was sent more than once" for fact, template in there - wanted)


def _absent_postings(thread: Thread, endpoints: Endpoints | None) -> Iterator[str]:
    there = Counter((posting.fact, posting.event, posting.endpoint) for posting in thread.postings)
    for fact in thread.facts:
        for event, endpoint in webhooks.due(fact, endpoints):
            if endpoint.since <= fact.at - BESIDE and (fact.name, event, endpoint.id) not in there:
                yield f"{event} ({fact.name}) to endpoint {endpoint.id} is absent"
    yield from (f"{event} ({fact}) is posted twice to {to}" for (fact, event, to), n in there.items() if n > 1)
