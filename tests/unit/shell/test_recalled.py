"""Operations of a restored database: what was done in the time that it forgot is neither repeated nor given up."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from services.notifications.app import RECALLED
from services.notifications.domain.operations import PostWebhook, SendEmail
from services.payments.domain.operations import ChargeCard, ChargeResult
from shared.contracts.envelope import encode
from shared.contracts.notifications import (
    EmailFailed,
    EmailSent,
    EmailStatus,
    MessageStatusRecord,
    WebhookDelivered,
    WebhookStatus,
)
from shared.core import Event, NoOutcome, NotDone, Operation, Outcome
from shared.shell.batch.own_log import OwnLog, Said
from shared.shell.operations.attempts import Attempts
from shared.shell.operations.destinations import Destinations
from shared.shell.operations.recall import Recollection, kind_of
from shared.shell.operations.rules import Ended
from shared.shell.ports.rows import OperationRow
from shared.shell.service import Service
from tests.unit.shell.harness import START, Harness

EMAIL = SendEmail(
    "<1@s>", "order_placed", "customer", "ann@example.com", "s@s.example", "S", "s@s.example", "Yours", START
)
POST = PostWebhook("msg_1", "s-1", "e-1", "order.paid", "{}")
CHARGE = ChargeCard(
    *("stripe", "o-1", "s-1", "ORD-ABCDEFGHIJ", 1, 1000, "USD", "https://s.example", "pm_1"),
    since=START - timedelta(days=9),
    until=START - timedelta(days=2),
)
PAID = ChargeCard.Done(ChargeResult("pi_1", "succeeded", 1000))
MAIL = EmailStatus(message="<1@s>", fact="placed", template="order_placed", audience="customer", state="sent")
HOOK = WebhookStatus(message="msg_1", fact="placed", event="order.paid", endpoint="e-1", state="delivered")
TOLD = MessageStatusRecord(number="N", store="s-1", revision=1, updated_at=START, emails=(MAIL,), webhooks=(HOOK,))
SENT = EmailSent(message="<1@s>", template="order_placed", audience="customer")
FAILED = EmailFailed(message="<1@s>", template="order_placed", audience="customer", code="refused", text="")
DELIVERED = WebhookDelivered(message="msg_1", endpoint="e-1", event="order.paid", attempts=1)


class Outside:
    """Does everything, and knows what it did."""

    def __init__(self, records: Outcome | NotDone) -> None:
        self.records, self.calls = records, list[Operation]()

    async def perform(self, operation: Operation, key: str) -> Outcome | NoOutcome:
        self.calls.append(operation)
        return PAID if isinstance(operation, ChargeCard) else SendEmail.Done()

    async def find(self, operation: Operation, key: str) -> Outcome | NotDone | NoOutcome:
        return self.records


@pytest.fixture
def log() -> Iterator[OwnLog]:
    log = OwnLog(frozenset(kind_of(recall.fact) for recalls in RECALLED.values() for recall in recalls))
    log.open()
    yield log
    log.close()


def told(*facts: Event, key: str = "o-1", late: bool = True) -> list[Said]:
    return [
        Said(key, kind_of(type(fact)), encode(fact), UUID(int=number), number, late)
        for number, fact in enumerate(facts)
    ]


async def made(operation: Operation, log: OwnLog | None, records: Outcome | NotDone | None = None) -> tuple[Ended, int]:
    """How the operation ended, and how many calls were made."""
    harness, outside = Harness(), Outside(records or NotDone())
    service = Service("s", (), {}, {}, harness.registry.service.refusal, harness.registry.service.storage)
    service = type(service)(**{**vars(service), "recalled": RECALLED})
    rng = random.Random(1)
    attempts = Attempts(
        dict.fromkeys((SendEmail, PostWebhook, ChargeCard), outside),
        harness.store,
        harness.clock,
        Destinations(harness.store, harness.clock, "s-0", harness.metrics, rng),
        metrics=harness.metrics,
        rng=rng,
        tracer=None,
        took=lambda kind, seconds: None,
        recollection=Recollection(service, log),
    )
    kind, at = type(operation).__qualname__, harness.clock.now()
    row = OperationRow(
        *(UUID(int=7), "o-1", kind, b"", b"", at, at, operation.destination(), False),
        begun=True,
        leased_until=at + timedelta(hours=1),
        occurred=at,
    )
    step = await attempts.make(row, operation, probe=False)
    assert isinstance(step, Ended)
    return step, len(outside.calls)


def state(email: str, webhook: str) -> MessageStatusRecord:
    emails = (MAIL.model_copy(update={"state": email}),)
    return TOLD.model_copy(update={"emails": emails, "webhooks": (HOOK.model_copy(update={"state": webhook}),)})


@pytest.mark.parametrize("fact", [TOLD, SENT], ids=["by the record", "by an older build's fact"])
async def test_an_email_that_was_sent_is_not_sent_again(log: OwnLog, fact: Event) -> None:
    log.add(told(FAILED, fact))
    step, calls = await made(EMAIL, log)
    assert (step.outcome, step.row.attempts, calls) == (SendEmail.Done(), 1, 0)


@pytest.mark.parametrize("fact", [TOLD, DELIVERED], ids=["by the record", "by an older build's fact"])
async def test_a_webhook_that_was_delivered_is_not_posted_again(log: OwnLog, fact: Event) -> None:
    log.add(told(fact))
    step, calls = await made(POST, log)
    assert (step.outcome, calls) == (PostWebhook.Done(200), 0)


@pytest.mark.parametrize(
    "facts",
    [
        told(),
        told(FAILED),
        told(SENT, key="o-2"),
        told(SENT, late=False),
        told(SENT.model_copy(update={"message": "<2@s>"})),
        told(DELIVERED),
        told(TOLD, late=False),
        told(state("pending", "delivered"), state("unknown", "delivered")),
    ],
    ids=[
        "nothing",
        "it failed",
        "of another order",
        "before the restored point",
        "another email",
        "another kind",
        "told before the restored point",
        "told as not sent",
    ],
)
async def test_what_was_not_sent_is_sent(log: OwnLog, facts: list[Said]) -> None:
    log.add(facts)
    assert (await made(EMAIL, log))[1] == 1


async def test_a_webhook_that_was_told_as_exhausted_is_posted(log: OwnLog) -> None:
    log.add(told(state("sent", "exhausted")))
    assert (await made(POST, log))[1] == 1


async def test_at_other_times_nothing_is_recalled(log: OwnLog) -> None:
    log.add(told(SENT))
    log.close()
    assert (await made(EMAIL, log))[1] == 1
    assert (await made(EMAIL, None))[1] == 1


async def test_a_charge_past_its_deadline_is_looked_up_before_it_is_given_up(log: OwnLog) -> None:
    step, calls = await made(CHARGE, log, records=PAID)
    assert (step.outcome, calls) == (PAID, 0)


async def test_a_charge_past_its_deadline_that_was_never_made_is_not_made(log: OwnLog) -> None:
    step, calls = await made(CHARGE, log)
    assert isinstance(step.outcome, ChargeCard.Failed)
    assert (step.outcome.code, calls) == ("not_tried", 0)
