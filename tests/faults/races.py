"""The races for an order's money that a shop sees: who takes part, and what may come of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

from deploy.client.storefront import Read
from deploy.demo.shop import GOOD_CARD, Order
from deploy.demo.stories import SECURE_CARD
from shared.contracts.payments import PaymentCaptured, PaymentReported
from shared.core import Message
from shared.shell.inbound.message import kept_id
from tests.faults.racers import Kind, Money, Race, Track
from tests.faults.system import HASTY

WITHIN = 60.0
AT_STRIPE = "400"
"""What the dashboard answers where nothing is left."""
SLOW_REFUNDS = "pm_card_pendingRefund"
"""Its refunds are pending for seconds."""
HASTY_SECONDS = 4.0
DOWNLOADS, PARCEL = ("atlas", "tides"), ("atlas", "print")


# Two members of staff refund the same at once


async def two_staff(track: Track, race: Race) -> None:
    await _has_paid(race)
    body, amount = ({"items": [{"item": "1"}]}, None) if _is_whole(race) else ({}, _share(race))
    await race.run(*(partial(track.refunds, race, who, amount, **body) for who in (0, 1)))
    first = (await track.payment(race))["refunds"][0]
    race.winner = TWO_STAFF.racers[int(str(first["note"])[-1])]


def _is_whole(race: Race) -> bool:
    return race.number % 3 == 0


def _share(race: Race) -> int:
    """60 %, of which there is room for one, or 40 %, of which there is room for two."""
    return int(race.order.latest["purchased"]) * (60 if race.number % 2 else 40) // 100


def one_or_both(race: Race, money: Money) -> bool:
    if not _is_whole(race) and not race.number % 2:
        return race.answers == ["", ""] and len(money.refunds("done")) == 2
    code = "already_refunded" if _is_whole(race) else "too_much"
    return sorted(race.answers) == ["", code] and len(money.refunds("done")) == 1


# One refunds, another cancels


async def refund_and_cancel(track: Track, race: Race) -> None:
    await _has_paid(race, _waits)
    amount = _share(race) if race.number % 3 else None
    await race.run(partial(track.refunds, race, 0, amount), partial(track.cancels, race))
    race.winner = "cancel" if race.answers[0] else "refund"


def all_is_refunded(race: Race, money: Money) -> bool:
    refused = race.answers[0] in ("", "already_refunded", AT_STRIPE) and race.answers[1] in ("", "not_cancellable")
    cancelled = (money.order["status"] == "cancelled") == (race.answers[1] == "")
    return refused and cancelled and money.at_provider("refunded") == money.at_provider("captured")


# The customer confirms while the order expires


async def confirm_and_expiry(track: Track, race: Race) -> None:
    await race.visit.buys(SECURE_CARD)
    page = await _the_banks_page(race.order)
    if not page:
        return  # it expired before the race
    over = race.order.submitted_at / 1000 + HASTY_SECONDS
    await asyncio.sleep(max(0.0, over + race.offset - time.time()))
    await track.system.bank.authenticate(page, passed=True)
    await race.order.becomes("completed", "expired", within=WITHIN)
    race.winner = "confirm" if race.order.status == "completed" else "expiry"


async def _the_banks_page(order: Order) -> str:
    def known(it: Order) -> bool:
        return it.status == "expired" or "/3d_secure/" in str(it.latest.get("pay_url"))

    seen = await order.shows(known, "a link to the bank", within=WITHIN)
    return str(seen.get("pay_url", "")) if seen["status"] != "expired" else ""  # it is gone before the order expires


def paid_or_refunded(race: Race, money: Money) -> bool:
    kept = money.at_provider("captured") - money.at_provider("refunded")
    return kept == (money.order["purchased"] if money.order["status"] == "completed" else 0)


# The provider answers, and calls back


async def answer_and_callback(track: Track, race: Race) -> None:
    late, match = round(abs(race.offset) * 1000), {"metadata": {"order": race.order.id}}
    if race.offset > 0:
        fault = {"kind": "answer_delay", "match": match | {"path": "/v1/payment_intents", "method": "POST"}}
    else:
        fault = {"kind": "webhook_delay", "match": match | {"event": "payment_intent.succeeded"}}
    await track.system.bank.inject(fault | {"milliseconds": late})
    await _has_paid(race)
    async with asyncio.timeout(WITHIN):
        while not ((reported := _told(track, race, PaymentReported)) and (told := _told(track, race, PaymentCaptured))):
            await asyncio.sleep(0.1)
    cause = kept_id("payments", UUID(told[0].headers["ce_causationid"]))
    race.winner = "callback" if str(cause) in {report.headers["ce_id"] for report in reported} else "answer"


def _told(track: Track, race: Race, kind: type[Message]) -> list[Read]:
    return [event for event in track.events[race.order.id] if event.type == kind.type]


def one_capture(race: Race, money: Money) -> bool:
    return len(money.events_of(PaymentCaptured.type)) == 1 and not money.payment["refunds"]


# A refund in the provider's dashboard while staff refund, or while the order is cancelled


async def dashboard_and_staff(track: Track, race: Race) -> None:
    await _has_paid(race)
    reference, amount = await track.reference(race), _share(race)
    refund = partial(track.refunds, race, 1, amount)
    await race.run(partial(track.system.bank.refund, reference, amount), refund)
    await _first_at_provider(track, race, "staff")


async def dashboard_and_cancel(track: Track, race: Race) -> None:
    await _has_paid(race, _waits)
    reference, amount = await track.reference(race), _share(race) if race.number % 3 else None
    await race.run(partial(track.system.bank.refund, reference, amount), partial(track.cancels, race))
    await _first_at_provider(track, race, "cancel")


async def _first_at_provider(track: Track, race: Race, ours: str) -> None:
    async with asyncio.timeout(WITHIN):
        while True:
            [intent] = (await track.system.bank.books(order=race.order.id))["payment_intents"]
            if intent["refunds"]:
                break
            await asyncio.sleep(0.1)
    race.winner = ours if intent["refunds"][-1]["metadata"] else "dashboard"


def never_twice(race: Race, money: Money) -> bool:
    """Staff are refused, or told of it later, where nothing was left."""
    room, made = (1, 2)[race.number % 2 == 0], len(money.refunds("done"))
    return race.answers[0] in ("", AT_STRIPE) and race.answers[1] in ("", "too_much") and made == room


# All of them


async def _has_paid(race: Race, further: Callable[[Order], bool] | None = None) -> None:
    await race.visit.buys(SLOW_REFUNDS if race.number % 4 == 1 else GOOD_CARD)
    await race.order.shows(further or _is_completed, "an order that is paid", within=WITHIN)


def _is_completed(order: Order) -> bool:
    return order.status == "completed"


def _waits(order: Order) -> bool:
    """For its parcel to be sent: it can be cancelled."""
    return [item["delivery"] for item in order.latest.get("items") or () if item["shippable"]] == ["waiting"]


_PAID, _BACK = frozenset({"completed"}), frozenset({"cancelled", "refunded"})
TWO_STAFF = Kind(("refund", "refund too"), two_staff, DOWNLOADS, _PAID, one_or_both)
KINDS = (
    TWO_STAFF,
    Kind(("refund", "cancel"), refund_and_cancel, PARCEL, _BACK, all_is_refunded, lead=0.12),
    Kind(("confirm", "expiry"), confirm_and_expiry, DOWNLOADS, _PAID | {"expired"}, paid_or_refunded, HASTY, 0.28),
    Kind(("answer", "callback"), answer_and_callback, DOWNLOADS, _PAID, one_capture),
    Kind(("dashboard", "staff"), dashboard_and_staff, DOWNLOADS, _PAID, never_twice, lead=0.15),
    Kind(("dashboard", "cancel"), dashboard_and_cancel, PARCEL, _BACK, all_is_refunded, lead=0.28),
)
