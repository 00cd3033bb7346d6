"""What `orderbus publish` shows of the answers to what it published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from deploy.cli.published import Limits, Outcomes, TimeIsOver, answers, follow, show_refusals
from deploy.client.storefront import Read
from shared.contracts.checkout import ORDERS, STATUS

OPENED, SUBMITTED = "01980c5e-7a10-7c3e-9f41-5b2f0a6d1e77", "01980c5e-7a10-7c3e-9f41-5b2f0a6d1e78"


class Script:
    """Kafka, which says this and then nothing more."""

    def __init__(self, *batches: list[Read]) -> None:
        self.left = [*batches]

    async def batches(self, timeout: float = 1.0) -> AsyncIterator[list[Read]]:
        while True:
            yield self.left.pop(0) if self.left else []
            await asyncio.sleep(0)


def event(type: str, cause: str, **body: object) -> Read:
    return Read(ORDERS.name, "o-1", type, {"ce_causationid": cause}, body, 0)


def status(word: str, key: str = "o-1", **fields: object) -> Read:
    return Read(STATUS.name, key, "order.status", {}, {"status": word, "number": "ORD-1", **fields}, 0)


REFUSED = event(
    *("checkout.refused", SUBMITTED),
    command="checkout.submitted",
    code="already_submitted",
    text="This order is already placed.",
    problems=[{"field": "store", "code": "other_store", "text": "It was another."}],
)


def outcomes(*ids: str) -> Outcomes:
    return Outcomes(dict.fromkeys(ids, "o-1"))


async def test_it_waits_until_each_message_is_answered() -> None:
    found = outcomes(OPENED, SUBMITTED)
    kafka = Script([event("order.created", OPENED), event("order.placed", "another's")], [REFUSED], [status("x")])
    await answers(kafka, found)
    assert (found.unanswered, [*found.refused]) == ([], [SUBMITTED])
    assert len(kafka.left) == 1, "no longer than it must"


async def test_it_waits_no_longer_than_a_moment() -> None:
    found = outcomes(OPENED)
    await answers(Script(), found, within=0.05)
    assert found.unanswered == [OPENED]


async def test_a_message_that_was_published_before_shows_why_it_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    found = outcomes(SUBMITTED)
    await answers(Script([REFUSED]), found)
    show_refusals(found)
    assert capsys.readouterr().err.splitlines() == [
        "Refused: checkout.submitted for o-1 (already_submitted). This order is already placed.",
        "  store: It was another. (other_store)",
    ]


async def test_each_status_is_shown_until_the_orders_end(capsys: pytest.CaptureFixture[str]) -> None:
    found = outcomes(OPENED)
    await answers(Script([status("created"), event("order.created", OPENED)]), found)
    kafka = Script([status("processing"), status("completed", "o-2")], [status("completed")], [status("never")])
    await follow(kafka, found, asyncio.Event(), Limits(), as_json=False)
    shown = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["created", "processing", "completed"]


async def test_an_order_whose_messages_were_refused_is_not_followed() -> None:
    found = outcomes(SUBMITTED)
    await answers(Script([REFUSED]), found)
    await follow(Script(), found, asyncio.Event(), Limits(), as_json=False)
    assert found.open_orders == set()


PARCEL = status("processing", items=[{"item": "1", "product": "Print", "delivery": "waiting", "shippable": True}])
SHIP = "ORD-1 waits for staff to ship item 1 (Print): orderbus ship ORD-1 --carrier NAME --tracking NUMBER"


async def test_an_order_without_news_says_once_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    kafka = Script([status("created")], [], [], [PARCEL], [], [], [status("completed")])
    await follow(kafka, outcomes(SUBMITTED), asyncio.Event(), Limits(quiet=0), as_json=False)
    waited = [line for line in capsys.readouterr().err.splitlines() if "ORD-1" in line]
    assert waited == ["ORD-1 waits for its submission (checkout.submitted)", SHIP]


async def test_an_order_that_goes_on_is_not_said_to_wait(capsys: pytest.CaptureFixture[str]) -> None:
    kafka = Script([status("created")], [], [status("processing")], [status("completed")])
    await follow(kafka, outcomes(SUBMITTED), asyncio.Event(), Limits(), as_json=False)
    assert capsys.readouterr().err == ""


async def test_the_time_to_follow_ends_with_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TimeIsOver) as over:
        await follow(Script([PARCEL]), outcomes(SUBMITTED), asyncio.Event(), Limits(timeout=0.05), as_json=True)
    first, *others = str(over.value).splitlines()
    assert first == "After 0.05 s not ended: 1 order, which the services go on with."
    assert others == [SHIP, "To go on: orderbus order ORD-1, or orderbus watch"]
    assert over.value.exit_code == 124
    assert len(capsys.readouterr().out.splitlines()) == 1, "JSON, a line for each status, and nothing else"


async def test_an_order_of_which_nothing_comes_is_named_by_its_id() -> None:
    with pytest.raises(TimeIsOver, match="o-1 has no new status: orderbus order o-1"):
        await follow(Script(), outcomes(SUBMITTED), asyncio.Event(), Limits(timeout=0), as_json=False)
