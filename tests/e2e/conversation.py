"""How the end-to-end tests talk: to a running orderbus, through its public edges only.

customer = world.customer()
order = await customer.buys("atlas", "print")
await order.becomes("processing")
await world.ships(order)
mail = await customer.gets_mail("parcel")
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import pytest
from standardwebhooks.webhooks import Webhook

from deploy.cli.order_timeline import staffs_timeline
from deploy.client.http import ApiClient, Problem
from deploy.demo.basket import COUNTRIES, checkout, person
from deploy.demo.catalogue import Catalogue, offer
from deploy.demo.shop import GOOD_CARD, Order, Shop
from deploy.devstack.processes import Services
from deploy.sandboxes.client import OutsideWorld, StripeSandbox
from shared.contracts.storefront import CheckoutSubmitted
from shared.contracts.values import Customer as Who
from shared.settings import Settings

DECLINED_CARD = "pm_card_visa_chargeDeclinedInsufficientFunds"
SECURE_CARD = "pm_card_threeDSecure2Required"
TIMEOUT = 60.0
T = TypeVar("T")
_marks = itertools.count(1)


async def eventually(
    look: Callable[[], Awaitable[T]], is_right: Callable[[T], object], what: str, within: float = TIMEOUT
) -> T:
    """Look until it is right; fails saying what was seen last."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        seen = await look()
        if is_right(seen):
            return seen
        if asyncio.get_running_loop().time() > deadline:
            pytest.fail(f"{what}: not within {within:.0f} s; last seen: {str(seen)[:800]}")
        await asyncio.sleep(0.1)


@dataclass
class World:
    """A running orderbus and everything around it."""

    settings: Settings
    services: Services
    edges: ApiClient
    outside: OutsideWorld
    bank: StripeSandbox
    shop: Shop
    secret: str
    """Of the endpoint that gets the main store's webhooks at the receiver `tests`."""
    browser: aiohttp.ClientSession

    @property
    def catalogue(self) -> Catalogue:
        return self.shop.catalogue

    @property
    def store(self) -> str:
        return self.catalogue.main

    @property
    def fair(self) -> str:
        """The store whose grace period is seconds."""
        return self.catalogue.fair

    def customer(self, name: str = "Ada Lovelace", store: str = "", country: str = "DE") -> Customer:
        return Customer(self, person(name, f"t{next(_marks)}"), store or self.store, country)

    async def sells(self, sku: str, action: dict[str, Any], *, store: str = "", **more: Any) -> str:
        """Offer a product of a test's own, for 10.00 EUR; returns its SKU."""
        template = self.catalogue.products["atlas"]
        product = replace(template, sku=sku, product=f"A {sku}", prices={"EUR": 1000}, action=action, **more)
        self.catalogue.products[sku] = product  # type: ignore[index]  # the tests' catalogue grows
        await offer(self.edges, store or self.store, product)
        return sku

    def desk(self, name: str) -> str:
        """The URL of a test's own access endpoint, whose faults affect no other test: `hooks/<name>`."""
        return self.outside.hook_url(name)

    # Staff

    async def command(self, order: Order, service: str, verb: str, **body: object) -> dict[str, Any]:
        answer = await self.edges.command(service, f"/orders/{order.id}/{verb}", body)
        assert isinstance(answer, dict)
        return answer

    async def ships(self, order: Order, tracking: str = "JD0146") -> None:
        await self.command(order, "fulfillment", "ship", carrier="DHL", tracking=tracking)

    async def cancels(self, order: Order) -> None:
        await self.command(order, "checkout", "cancel", reason="The customer called.")

    async def refunds(self, order: Order, **what: object) -> None:
        await self.command(order, "payments", "refund", **what)

    async def retries(self, order: Order, *, latest: bool = False) -> None:
        await self.command(order, "fulfillment", "retry", latest=latest)

    async def is_refused(self, command: Awaitable[object], code: str) -> Problem:
        with pytest.raises(Problem) as refused:
            await command
        assert (refused.value.status, refused.value.code) == (409, code)
        return refused.value

    # What can be seen

    async def timeline(self, order: Order) -> list[dict[str, Any]]:
        """As `orderbus order` shows it: what staff has read by now."""
        return [dict(entry) for entry in await staffs_timeline(self.edges, order.id)]

    async def happened(self, order: Order) -> list[str]:
        return [entry["what"] for entry in await self.timeline(order)]

    async def tells(self, order: Order, *what: str) -> None:
        """The timeline does, as soon as staff has read of it."""
        await eventually(lambda: self.happened(order), lambda seen: {*what} <= {*seen}, f"{what} in the timeline")

    async def says(self, order: Order, what: str, text: str) -> dict[str, Any]:
        """An entry of the timeline about this with this text in it, as soon as there is one."""

        async def found() -> list[dict[str, Any]]:
            entries = await self.timeline(order)
            return [entry for entry in entries if entry["what"] == what and text in entry["text"]]

        return (await eventually(found, bool, f"{text!r} of {what} in the timeline"))[0]

    async def payment(self, order: Order) -> dict[str, Any]:
        found = await self.edges.part("payments", f"/orders/{order.id}/payment")
        return found or {}

    async def stock(self, sku: str, store: str = "") -> dict[str, Any]:
        found = await self.edges.part("fulfillment", f"/stores/{store or self.store}/stock/{sku}")
        return found or {}

    async def money_taken(self, order: Order) -> tuple[int, int, int]:
        """By the provider's books: captured, refunded, number of charges."""
        intents = (await self.bank.books(order=order.id))["payment_intents"]
        charges = sum(intent["effects"]["charges"] for intent in intents)
        return sum(i["captured"] for i in intents), sum(i["refunded"] for i in intents), charges

    async def webhooks(self, order: Order) -> list[str]:
        """Names of the events that were posted about an order, each verified by the standardwebhooks library, which
        accepts none that is older than five minutes."""
        verifier, number = Webhook(self.secret), order.number
        posted = await self.outside.received("tests")
        about = [one for one in posted if json.loads(one["body"])["data"]["order_number"] == number]
        return [verifier.verify(one["body"], one["headers"])["event"] for one in about]

    async def gets_webhooks(self, order: Order, *events: str) -> None:
        """Wait until at least these were posted."""
        await eventually(lambda: self.webhooks(order), lambda seen: set(events) <= set(seen), f"webhooks {events}")

    # The pay page, as a browser without scripts shows it

    async def pay_page(self, link: str, situation: str, *, status: int = 200) -> str:
        """Wait until it shows this."""

        async def look() -> tuple[int, str]:
            async with self.browser.get(link) as answer:
                return answer.status, await answer.text()

        wanted = f'data-situation="{situation}"'
        _, page = await eventually(look, lambda seen: wanted in seen[1] and seen[0] == status, f"the page {situation}")
        return page

    async def pays_on_page(self, link: str, card: str, situation: str = "open") -> int:
        """Send the form with a test card; the status of the page that follows."""
        page = await self.pay_page(link, situation)
        form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
        async with self.browser.post(link, data=form | {"payment_method": card}) as answer:
            return answer.status

    async def downloads(self, link: str) -> int:
        """The status with which a link answers."""
        async with self.browser.get(link, allow_redirects=False) as answer:
            return answer.status


@dataclass
class Customer:
    """A customer with their own mailbox."""

    world: World
    who: Who
    store: str
    country: str

    async def buys(self, *skus: str | tuple[str, int], card: str = GOOD_CARD, offer: str | None = None) -> Order:
        """Opens the checkout page and submits it."""
        order = await self.opens()
        await order.submits(self.checkout(*skus, card=card).model_copy(update={"offer": offer}))
        return order

    async def opens(self) -> Order:
        order = self.world.shop.order(self.store)
        await order.opens(COUNTRIES[self.country].currency, self.country)
        return order

    def checkout(self, *skus: str | tuple[str, int], card: str = GOOD_CARD) -> CheckoutSubmitted:
        lines: Iterable[tuple[str, int]] = [(sku, 1) if isinstance(sku, str) else sku for sku in skus]
        return checkout(self.world.catalogue, self.store, self.who, lines, card=card, country=self.country)

    async def mails(self) -> list[dict[str, Any]]:
        return list((await self.world.outside.mails(to=self.who.email))["mails"])

    async def subjects(self) -> list[str]:
        return [mail["subject"] for mail in await self.mails()]

    async def gets_mail(self, subject: str) -> dict[str, Any]:
        """Wait for a mail whose subject contains the words; with text and html."""
        mails = await eventually(
            self.mails, lambda seen: any(subject in mail["subject"] for mail in seen), f"a mail about {subject!r}"
        )
        found = next(mail for mail in mails if subject in mail["subject"])
        return await self.world.outside.mail(found["id"])

    async def opens_pay_page(self, subject: str) -> str:
        """The link of the mail that asks to pay."""
        mail = await self.gets_mail(subject)
        links = re.findall(r"http://127\.0\.0\.1:\d+/pay/[\w.-]+", mail["text"])
        assert len(links) == 1, mail["text"]
        return str(links[0])

    async def feed(self) -> list[dict[str, Any]]:
        answer = await self.world.edges.get("notifications", f"/feeds/{self.store}~customer~{self.who.id}")
        return list(answer["entries"])

    async def courses(self) -> list[str]:
        return await self.world.outside.grants(self.who.email)


def is_bank_page(url: object) -> bool:
    return "/3d_secure/" in urlsplit(str(url)).path


def delivery_states(order: Order) -> list[str]:
    """Of every product, as the status topic shows them."""
    return [item["delivery"] for item in order.latest.get("items") or () if item["kind"] != "delivery"]


def link_in(text: str, part: str) -> str:
    """The first word of a mail that contains a part of a link."""
    return next(word for word in text.split() if part in word)
