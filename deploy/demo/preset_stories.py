"""The stories of a preset, told to a running system: each step is done, or waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from deploy.client.http import ApiClient, ClientError, Problem
from deploy.client.storefront import KafkaUnreachable
from deploy.demo.basket import COUNTRIES, checkout, person
from deploy.demo.preset import Preset, PresetStory
from deploy.demo.shop import GOOD_CARD, NeverHappened, Order, Shop
from deploy.demo.stories import DECLINED_CARD
from shared.core.money import exponent

FAILS_LATER = "pm_card_chargeCustomerFail"
"""It can be set up, but not charged."""
TIMEOUT = 60.0
"""Seconds for one step."""
WHY = "As the story has it."


@dataclass
class Told:
    """One story, and how it went."""

    story: PresetStory
    order: Order
    trouble: str = ""


@dataclass
class Teller:
    """What a step acts on."""

    preset: Preset
    story: PresetStory
    order: Order
    api: ApiClient
    mark: str

    async def buys(self, card: str) -> None:
        customer = person(self.story.by, self.mark)
        if not self.story.signed_in:
            customer = customer.model_copy(update={"signed_in": False, "id": None})
        country = self.story.country
        await self.order.opens(COUNTRIES[country].currency, country)
        catalogue, store = self.preset.catalogue, self.preset.id
        skus = [(str(sku), int(units)) for sku, units in self.story.buys]
        basket = checkout(catalogue, store, customer, skus, card=card, country=country)
        await self.order.submits(basket)

    async def shows(self, field: str, value: object) -> None:
        await self.order.shows(lambda it: it.latest.get(field) == value, f"{field} {value}", within=TIMEOUT)

    async def staff(self, service: str, verb: str, **body: object) -> None:
        """As soon as the service is so far: facts reach it one after the other."""
        end = asyncio.get_running_loop().time() + TIMEOUT
        while True:
            try:
                await self.api.command(service, f"/orders/{self.order.id}/{verb}", body)
                return
            except Problem as problem:
                passes = problem.status in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND)
                if not passes or asyncio.get_running_loop().time() > end:
                    raise
            await asyncio.sleep(0.2)


async def _buys(teller: Teller, card: str) -> None:
    await teller.buys({"": GOOD_CARD, "declined": DECLINED_CARD, "kept": FAILS_LATER}[card])


async def _pays(teller: Teller, again: str) -> None:
    await teller.order.pays_again()


async def _refused(teller: Teller, code: str) -> None:
    body = await teller.order.is_refused(within=TIMEOUT)
    codes = [problem["code"] for problem in body["problems"]]
    if code not in codes:
        raise NeverHappened(f"order {teller.order.id} was refused for {', '.join(codes)}, not {code}")


async def _is(teller: Teller, status: str) -> None:
    await teller.order.becomes(status, within=TIMEOUT)


async def _shown(teller: Teller, word: str) -> None:
    await teller.shows("status_word", word)


async def _payment(teller: Teller, status: str) -> None:
    await teller.shows("payment_status", status)


async def _fulfilled(teller: Teller, _: str) -> None:
    await teller.shows("fulfilment_status", "fulfilled")


async def _held(teller: Teller, _: str) -> None:
    await teller.order.shows(lambda it: bool(it.latest.get("held")), "that it is held", within=TIMEOUT)


async def _refund(teller: Teller, amount: str) -> None:
    currency = str(teller.order.latest["currency"])
    units = {"amount": int(Decimal(amount).scaleb(exponent(currency)))} if amount else {}
    await teller.staff("payments", "refund", **units)


async def _return(teller: Teller, _: str) -> None:
    items: list[Any] = [{"item": str(number)} for number, _ in enumerate(teller.story.buys, 1)]
    await teller.staff("fulfillment", "return", items=items, refund=True, reason=WHY)


async def _ship(teller: Teller, _: str) -> None:
    await teller.staff("fulfillment", "ship", carrier="DHL", tracking=f"JD{teller.order.id[-12:]}")


async def _start(teller: Teller, _: str) -> None:
    await teller.staff("fulfillment", "start", reason=WHY)


async def _release(teller: Teller, _: str) -> None:
    await teller.staff("fulfillment", "release", reason=WHY)


async def _complete(teller: Teller, _: str) -> None:
    await teller.staff("checkout", "complete", note=WHY)


async def _cancel(teller: Teller, _: str) -> None:
    await teller.staff("checkout", "cancel", reason=WHY)


async def _accept(teller: Teller, _: str) -> None:
    await teller.staff("checkout", "accept", reason=WHY)


async def _decline(teller: Teller, _: str) -> None:
    await teller.staff("checkout", "decline", reason=WHY, note="We are fully booked.")


async def _deliver(teller: Teller, _: str) -> None:
    await teller.staff("fulfillment", "mark-delivered", reason=WHY)


async def _waits(teller: Teller, for_a_card: str) -> None:
    await teller.order.shows(lambda it: bool(it.latest.get("pay_url")), "that a card is needed", within=TIMEOUT)


async def _gives(teller: Teller, up: str) -> None:
    await teller.order.is_given_up()


STEPS: Mapping[str, Callable[[Teller, str], Awaitable[None]]] = {
    "buys": _buys,
    "pays": _pays,
    "refused": _refused,
    "is": _is,
    "shown": _shown,
    "payment": _payment,
    "fulfilled": _fulfilled,
    "held": _held,
    "refund": _refund,
    "return": _return,
    "ship": _ship,
    "start": _start,
    "release": _release,
    "complete": _complete,
    "cancel": _cancel,
    "accept": _accept,
    "decline": _decline,
    "deliver": _deliver,
    "gives": _gives,
    "waits": _waits,
}
"""By the first word of a step; the rest is what it is about."""


async def play_stories(preset: Preset, shop: Shop, api: ApiClient, mark: str = "") -> list[Told]:
    """All stories at once. `mark` keeps the customers of several runs apart."""
    tellers = [
        Teller(preset, story, shop.order(preset.id), api, f"{mark}{preset.id}{number}")
        for number, story in enumerate(preset.stories)
    ]
    return list(await asyncio.gather(*map(_told, tellers)))


async def _told(teller: Teller) -> Told:
    told = Told(teller.story, teller.order)
    for step in teller.story.steps:
        word, _, rest = step.partition(" ")
        try:
            await STEPS[word](teller, rest)
        except (NeverHappened, KafkaUnreachable, ClientError) as trouble:
            told.trouble = f"{step}: {trouble}"
            break
    return told
