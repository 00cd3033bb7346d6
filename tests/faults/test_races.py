"""(u) Two at once at the same order's money: whichever comes first, the sums are right and all are told once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from shared.contracts.payments import PaymentRefunded
from tests.faults.racers import Money, Race, Season, Track, track_of
from tests.faults.races import KINDS
from tests.faults.system import System
from tests.faults.table import Table

REFUND_MAIL = "A refund for order"


async def test_whichever_comes_first_the_money_is_right(system: System, table: Table, seed: int) -> None:
    async with track_of(system) as track:
        seasons, began = [Season.of(kind, track, seed) for kind in KINDS], time.monotonic()
        async with asyncio.TaskGroup() as group:
            for season in seasons:
                group.create_task(season.run())
        await system.at_rest()
        if await _hurried(system):
            await system.at_rest()
        ends = {season.kind.name: [(race, await _money(track, race)) for race in season.races] for season in seasons}
    violated, wrong = await system.check(), list[str]()
    for season in seasons:
        found = [fault for race, money in ends[season.kind.name] for fault in _faults(season, race, money)]
        remark = _remark(season, [money for _, money in ends[season.kind.name]])
        twice = sum("twice" in fault for fault in found)
        what = f"(u) {season.kind.name}"
        table.add(what, len(season.races), len(found), twice, time.monotonic() - began, remark)
        wrong += found
    assert not wrong, "\n".join(wrong)
    assert violated == {}
    assert [f"{season.kind.name}: {dict(season.won)}" for season in seasons if len(season.won) < 2] == []


async def _hurried(system: System) -> int:
    """What the provider refused is tried again after an hour: here it is over at once."""
    waiting = "timers where kind = 'RefundDue'"
    found = int(await system.value("payments", f"select count(*) from {waiting}"))
    await system.execute("payments", "update timers set due = clock_timestamp() where kind = 'RefundDue'")
    return found


def _remark(season: Season, ends: Iterable[Money]) -> str:
    """Who came first how often, and which of our refunds came too late."""
    first = [f"{racer} first: {season.won[racer]}" for racer in season.kind.racers]
    late = Counter(str(refund["code"]) for money in ends for refund in money.refunds("failed"))
    return ", ".join([*first, *(f"{code}: {count}" for code, count in late.items())])


def _faults(season: Season, race: Race, money: Money) -> list[str]:
    found = [*([race.trouble] if race.trouble else []), *_wrong(season, race, money)]
    story = f"{season.kind.name} {race.order.id} (race {race.number}, {race.offset:+.3f} s, answers {race.answers})"
    refunds = [(it["status"], it["amount"], it["reason"], it["code"]) for it in money.payment.get("refunds", ())]
    return [f"{story}: {fault}; {money.order.get('status')}, refunds {refunds}" for fault in found]


async def _money(track: Track, race: Race) -> Money:
    edges, id = track.system.edges, race.order.id
    return Money(
        payment=await edges.part("payments", f"/orders/{id}/payment") or {},
        books=(await track.system.bank.books(order=id))["payment_intents"],
        order=await edges.order(id),
        mails=(await track.system.outside.mails(to=race.visit.customer.email))["mails"],
        events=track.events[id],
    )


def _wrong(season: Season, race: Race, money: Money) -> Iterator[str]:
    payment, order = money.payment, money.order
    if order["status"] not in season.kind.ends:
        yield f"it ended as {order['status']}"
    charges = sum(intent["effects"]["charges"] for intent in money.books)
    if charges > 1:
        yield f"charged twice ({charges})"
    for what in ("captured", "refunded"):
        if (ours := payment[what]) != (theirs := money.at_provider(what)):
            yield f"{what} {ours} by our books, {theirs} by the provider's"
    if order["refunded"] != payment["refunded"]:
        yield f"the order shows {order['refunded']} as refunded, the payment {payment['refunded']}"
    if payment["refunded"] > payment["captured"] or payment["pending"] or payment["owed"] or payment["unresolved"]:
        yield f"captured {payment['captured']}, refunded {payment['refunded']}, pending {payment['pending']}"
    if order["refunded"] == order["paid"] and "failed" in (order["message"] or ""):
        yield f"all is refunded, but the order says: {order['message']}"
    if not season.kind.right(race, money):
        yield "the end does not fit the answers"
    yield from _told_wrongly(money)


def _told_wrongly(money: Money) -> Iterator[str]:
    """Each refund that was made is told once, and all else once."""
    made = len(money.refunds("done"))
    told = {event.body["refund"] for event in money.events_of(PaymentRefunded.type)}
    if len(told) != made or len(money.events_of(PaymentRefunded.type)) != made:
        yield f"{made} refunds were made, {len(money.events_of(PaymentRefunded.type))} told"
    mails = {mail["message_id"]: mail["subject"] for mail in money.mails}
    if len(mails) < len(money.mails):
        yield "a mail was sent twice"
    subjects = Counter("refund" if REFUND_MAIL in subject else subject for subject in mails.values())
    if subjects.pop("refund", 0) != made:
        yield f"{made} refunds were made, the mails are {list(mails.values())}"
    if repeated := [subject for subject, count in subjects.items() if count > 1]:
        yield f"told twice: {repeated}"
