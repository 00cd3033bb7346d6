"""Customers and staff, each with a seeded will of their own: they buy, hesitate, change their minds, two at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any

from deploy.simulation.abandoned import kept_for, opened
from deploy.simulation.bad_moments import COMMANDS as BAD_MOMENTS
from deploy.simulation.bad_moments import cannot_be_paid
from deploy.simulation.catalogue import ACTIONS, COURSE, FURTHER, GIFT, OFFER, OFFERED, PRICES
from deploy.simulation.game import ARENA, GIVE, PLAYERS, RANK
from deploy.simulation.newcomers import Newcomers
from deploy.simulation.outside import LOW_WATER
from deploy.simulation.owed import owed
from deploy.simulation.pay_pages import PayPages
from deploy.simulation.request import RequestStore
from deploy.simulation.rest import unrest
from deploy.simulation.tasks import unowned
from deploy.simulation.typed_codes import TypedCodes
from deploy.simulation.warehouse import Warehouse
from deploy.simulation.world import World
from services.payments.domain.owed import Obligation, ObligationStatus
from shared.contracts.checkout import ORDERS, CancelOrder, CompleteOrder
from shared.contracts.codes import AddCodes, ConfigurePool
from shared.contracts.connections import ConfigureCarrier, ConfigureDiscord
from shared.contracts.fulfillment import (
    EVENTS,
    ConfigureExtras,
    ConfigureOffer,
    ConfigureProduct,
    Download,
    ReceiveStock,
    RetryDelivery,
    ShipOrder,
)
from shared.contracts.notifications import RegisterWebhook, ReplayWebhooks
from shared.contracts.payments import RefundLine, RefundPayment
from shared.contracts.providers import DEFAULT, step_of
from shared.contracts.storefront import (
    CheckoutAbandoned,
    CheckoutAsked,
    CheckoutPaymentRetried,
    CheckoutSubmitted,
    DeliveryCharge,
    PaymentChoice,
    SubmittedItem,
)
from shared.contracts.stores import ConfigureStore, DefineSku
from shared.contracts.values import UNFINISHED, UNPAID, Address
from shared.core import Command
from shared.shell.ports.bus import BusRecord

STORE = "s"
CURRENCIES = ("USD",) * 3 + ("EUR", "JPY", "ISK", "UGX", "KWD")
"""A store has one of them; of the last three Stripe's units or steps are not those of ISO 4217."""
SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"  # of a simulated endpoint
CARDS = ("pm_good",) * 6 + ("pm_declined",) * 2 + ("pm_3ds",) * 2 + ("pm_slow",)
PARCEL = DeliveryCharge(name="Parcel", amount=490)
OF_ATTEMPT = "What attempt {} paid."
"""The note of a refund for which staff name the attempt."""
HOUSE = Address(name="A. Buyer", line1="1 Street", city="Town", country="US")


class Shop:
    """A store, its customers and its staff."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._hurry, self._pages, self._typed_codes = world.rng_of("hurry"), PayPages(world), TypedCodes(world)
        self._currency = world.rng_of("currency").choice(CURRENCIES)
        self._fills, self._looks = 0, 0
        self._filling: asyncio.Task[None] | None = None
        world.readers.append(self.read)
        self.warehouse = Warehouse(world, f"{STORE}/mug", COURSE)
        self._bank, self._generous, self._ranks = map(world.rng_of, ("bank", "generous", "buyers of ranks"))
        self.requests, self.newcomers = RequestStore(world), Newcomers(world, self.warehouse.held)
        self._failures = world.rng_of("failed payments")
        self._marked = world.rng_of("marks").random() < 0.4
        self.unreachable: set[tuple[str, int]] = set()
        """Orders and attempts whose refund the bank sent back, and staff have given up."""
        self.keys = [f"order-{number}" for number in range(1, world.orders + 1)]

    def orders(self) -> list[Coroutine[Any, Any, None]]:
        """What happens to every order: its customer, and what staff do about it."""
        return [self.buy(key) for key in self.keys] + [self.serve(key) for key in self.keys]

    def read(self, record: BusRecord) -> None:
        """What staff see going by: a pool without codes."""
        if record.topic == EVENTS.name and b'"pool_empty"' in (record.value or b"") and not self._filling:
            self._filling = unowned(self._fill)
        self._typed_codes.read(record)
        if record.topic == ORDERS.name and (self._hurry.random() < 0.25 or cannot_be_paid(record, self._failures)):
            self._interfere(dict(record.headers)["ce_type"] or b"", (record.key or b"").decode())

    def _interfere(self, type: bytes, key: str) -> None:
        """Staff act on an order at the very moment at which services hear of it."""
        if type in BAD_MOMENTS:
            service, command = self._hurry.choice(BAD_MOMENTS[type])
            self.world.keep(unowned(lambda: self._too_early(service, command, key)))

    async def _fill(self) -> None:
        """Add codes until no order waits for one."""
        rng = self.world.rng_of(f"pool {self._fills}")
        for again in range(30):
            await asyncio.sleep(rng.random() * rng.choice((5.0, 100.0)))
            self._fills += 1
            self._add_codes(f"more-{self._fills}", rng.choice((1, 3, self.world.orders)))
            await asyncio.sleep(20.0 * 2 ** min(again, 10))
            if not any(self._wants_code(key) for key in self.keys):
                break
        self._filling = None

    def _wants_code(self, key: str) -> bool:
        items = self.world.statuses.get(key, {}).get("items", ())
        return any(item["delivery"] == "waiting" and not item["shippable"] for item in items)

    # The store

    async def open_store(self) -> None:
        rng, limits, publish = self.world.rng_of("store"), self.world.rng_of("limits"), self._command
        mail, grace = "staff@store.example", rng.choice((timedelta(days=7), timedelta(minutes=10)))
        publish(
            ConfigureStore(
                name="Store",
                sender=mail,
                staff_email=mail,
                support_email=mail,
                order_url="https://store.example/{order}",
                currencies=(self._currency,),
                grace=grace,
                payment_tries=limits.choice((1, 2, 8, 8)),
                payment_cool_down=limits.choice((timedelta(0), timedelta(minutes=1))),
                keep_abandoned=kept_for(self.world),
            ),
            STORE,
        )
        if self.requests.open:
            publish(self.requests.settings(grace, self._currency), STORE)
        self.newcomers.settings(STORE)
        while unrest(self.world):  # what it sells can be defined once it is there
            await asyncio.sleep(0.05)
        for sku, price in (PRICES | {GIFT: 0, RANK: 0}).items():
            prices = {self._currency: price}
            publish(DefineSku(product=sku.title(), prices=prices, shippable=sku == "mug"), f"{STORE}/{sku}")
        publish(ARENA, f"{STORE}/server/arena")
        rank = GIVE.model_copy(update={"repeatable": self.world.rng_of("ranks").random() < 0.3})
        publish(ConfigureProduct(action=rank), f"{STORE}/{RANK}")
        bundles = self.world.rng_of("bundles").random() < 0.4
        publish(ConfigureDiscord(guild="613425648685547541", token="bot"), f"{STORE}/discord/main")  # noqa: S106
        for carrier in ("Post", "DHL", "post"):
            page = f"https://{carrier.lower()}.example/{{tracking}}"
            publish(ConfigureCarrier(carrier=carrier, page=page), f"{STORE}/carriers")
        if bundles:
            publish(ConfigureOffer(name="Members", actions=OFFERED), f"{STORE}/offer/{OFFER}")
            publish(ConfigureExtras(name="Guide", actions=(Download(file="guide.pdf"),)), f"{STORE}/order/every")
        for sku, (action, tracked) in ACTIONS.items():
            further = FURTHER.get(sku, ()) if bundles else ()
            publish(ConfigureProduct(action=action, track_stock=tracked, further=further), f"{STORE}/{sku}")
            if tracked:
                publish(ReceiveStock(quantity=1 + int(rng.random() * self.world.orders)), f"{STORE}/{sku}")
        if self._marked:
            publish(ConfigurePool(low_water=LOW_WATER), f"{STORE}/keys")
        self._add_codes("first", 1 + int(rng.random() * self.world.orders))
        for endpoint, events in (("shop", ("order.received", "order.refunded")), ("crm", ("order.updated",))):
            publish(
                RegisterWebhook(
                    endpoint=endpoint,
                    url=f"https://{endpoint}.example",
                    events=events,  # type: ignore[arg-type]
                    secret=SECRET,
                ),
                STORE,
            )
        while unrest(self.world):
            await asyncio.sleep(0.05)

    def _add_codes(self, batch: str, count: int) -> None:
        self._command(AddCodes(codes=tuple(f"{batch}-{number}" for number in range(count))), f"{STORE}/keys")

    def _command(self, command: Command, key: str, actor: str = "staff:anna", times: int = 1) -> None:
        self.world.publish(command, key, actor=actor, times=times)

    # Customers

    async def buy(self, key: str) -> None:
        rng = self.world.rng_of(f"customer of {key}")
        await asyncio.sleep(rng.random() * 2.0 + self.newcomers.wait())
        if rng.random() < 0.7:
            self._say(opened(STORE, self._currency), key, rng)
            await asyncio.sleep(rng.random() * 0.2)
        if rng.random() < 0.05:
            return  # never comes back: the checkout expires
        if rng.random() < 0.05:
            self._say(self._checkout(rng, wrong=True), key, rng)
        self._say(self._checkout(rng), key, rng)
        if rng.random() < 0.05:
            self._say(self._checkout(rng), key, rng)
        await asyncio.gather(self._hesitate(key, rng), self._pay(key, rng))

    def _say(self, message: Command, key: str, rng: random.Random) -> None:
        self.world.publish(message, key, times=2 if rng.random() < 0.05 else 1)

    def _checkout(self, rng: random.Random, *, wrong: bool = False) -> CheckoutSubmitted:
        skus = rng.sample(sorted(PRICES), rng.choice((1, 1, 2, 3)))
        if "odd" in skus and rng.random() < 0.7:
            skus = ["file"]
        items = tuple(SubmittedItem(sku=sku, quantity=rng.choice((1, 1, 2)), unit_price=PRICES[sku]) for sku in skus)
        if self._generous.random() < 0.3:
            items = (*items, SubmittedItem(sku=GIFT, quantity=1, unit_price=0))
        if self._ranks.random() < 0.4:
            player = self._ranks.choice(PLAYERS)
            items = (*items, SubmittedItem(sku=RANK, quantity=1, unit_price=0, custom_fields={"player": player}))
        deliveries = (PARCEL,) if "mug" in skus else ()
        total = sum(item.quantity * item.unit_price for item in items) + sum(charge.amount for charge in deliveries)
        return CheckoutSubmitted(
            store=STORE,
            customer=self.newcomers.customer(),
            items=items,
            deliveries=deliveries,
            currency=self._currency,
            subtotal=total + wrong,
            tax=0,
            total=total,
            purchased=total,
            payment=PaymentChoice(payment_method=rng.choice(self._cards)),
            shipping=HOUSE,
            offer=OFFER if rng.random() < 0.3 else None,
        )

    @property
    def _cards(self) -> Sequence[str]:
        return self.requests.cards if self.requests.open else CARDS

    async def _hesitate(self, key: str, rng: random.Random) -> None:
        if self.requests.open:
            wait = self.requests.second_thought(rng)
            if wait is not None:
                await asyncio.sleep(wait)
                self._say(CheckoutAbandoned(reason="changed my mind"), key, rng)
        elif rng.random() < 0.08:
            await asyncio.sleep(rng.random() * rng.choice((0.3, 3.0)))
            self._say(CheckoutAbandoned(reason="changed my mind"), key, rng)
        elif rng.random() < 0.1:
            await asyncio.sleep(rng.random() * rng.choice((0.3, 3.0, 60.0)))
            self._say(CheckoutAsked(wants=rng.choice(("cancel", "refund")), text="Bought twice."), key, rng)

    async def _pay(self, key: str, rng: random.Random) -> None:
        """See to it that the order is paid, more or less patiently."""
        tries = 4
        while tries:
            status = await self._changed(key)
            if status is None or not (status["status"] in UNPAID or status.get("deadline")):
                return
            url = status.get("pay_url") or ""
            if not url or status["status"] not in ("pending_payment", "received"):
                continue
            tries -= 1
            waits = self.requests.waits if self.requests.open else (0.1, 1.0, 60.0)
            await asyncio.sleep(rng.random() * rng.choice(waits))
            self._try_again(key, rng, status["status"], at_bank="bank." in url)
            if rng.random() < 0.15:
                return

    def _try_again(self, key: str, rng: random.Random, status: str, *, at_bank: bool) -> None:
        if at_bank and rng.random() < 0.8:
            self.requests.confirm(key, status, well=rng.random() < 0.7)
        if not at_bank or rng.random() < 0.3:
            card = rng.choice(self._cards)
            if not self._pages.taken(key, card, status):
                self._say(CheckoutPaymentRetried(payment=PaymentChoice(payment_method=card)), key, rng)

    async def _changed(self, key: str) -> dict[str, Any] | None:
        """The next status record of the order; None when none comes for long."""
        before = self.world.statuses.get(key, {}).get("revision", -1)
        try:
            async with asyncio.timeout(8 * 86400.0 if self.requests.open else 3600.0):
                await self.world.news(key, before)
        except TimeoutError:
            return None
        return self.world.statuses[key]

    # Staff

    async def serve(self, key: str) -> None:
        """What staff do about one order, at good moments and bad ones."""
        rng = self.world.rng_of(f"staff for {key}")
        if rng.random() < 0.35:
            await asyncio.sleep(rng.random() * rng.choice((3.0, 6.0, 86400.0)))
            act = rng.choice((self._cancel, self._refund, self._refund, self._refund_twice, self._complete))
            await act(key, rng)
        if rng.random() < 0.1:
            await asyncio.sleep(rng.random() * 6.0)
            await self._ask(ReplayWebhooks(), "notifications", key, rng)

    async def _too_early(self, service: str, command: Command, key: str) -> None:
        """Just when the service hears of the order for the first time: two may want to write its first row."""
        by_topic = self._hurry.random() < 0.5
        await asyncio.sleep(self._hurry.random() * self._hurry.choice((0.0, 0.0, 0.03)))
        if by_topic:
            self._command(command, key, actor="staff:dora")
        else:
            await self.world.submit(service, command, key, actor="staff:dora")

    async def _cancel(self, key: str, rng: random.Random) -> None:
        await self._ask(CancelOrder(reason="by staff"), "checkout", key, rng)

    async def _complete(self, key: str, rng: random.Random) -> None:
        await self._ask(CompleteOrder(), "checkout", key, rng)

    async def _refund(self, key: str, rng: random.Random) -> None:
        step = step_of(DEFAULT, self._currency)
        request: Callable[[], RefundPayment] = rng.choice(
            (
                RefundPayment,
                lambda: RefundPayment(amount=step * (1 + int(rng.random() * 3000) // step)),
                lambda: RefundPayment(items=(RefundLine(item="1"),)),
                lambda: RefundPayment(attempt=1, note=OF_ATTEMPT.format(1)),
            )
        )
        choices = self.world.rng_of(f"choices of a refund of {key}")
        left = {name: () for name in ("remove_access", "restock") if choices.random() < 0.3}
        await self._ask(request().model_copy(update=left), "payments", key, rng)

    async def _refund_twice(self, key: str, rng: random.Random) -> None:
        """Two at once, who do not know of each other."""
        await asyncio.gather(self._refund(key, rng), self._refund(key, rng))

    async def _ask(self, command: Command, service: str, key: str, rng: random.Random) -> None:
        if rng.random() < 0.5:
            self._command(command, key, times=2 if rng.random() < 0.1 else 1)
        else:
            await self.world.submit(service, command, key, actor="staff:bert")

    async def tidy_up(self) -> None:
        """At the end staff see to what waits for people: parcels, codes, what failed. Some of it for good."""
        self._command(ConfigureProduct(action=Download(file="odd.zip")), f"{STORE}/odd")
        if self._marked:  # staff are told each day that a pool is low, until it is not
            self._add_codes("plenty", 20 * self.world.orders)
        for attempt in range(4):
            await self._quiet()
            waiting = [key for key in self.keys if self._waits(key)]
            undecided = [key for key in self.keys if self.world.statuses.get(key, {}).get("status") == "received"]
            if not waiting and not undecided:
                return
            await asyncio.gather(*map(self.requests.last_word, undecided))
            self._add_codes(f"last-{attempt}", 2 * len(waiting) or 1)
            await asyncio.gather(*(self._see_to(key) for key in waiting))

    def last_look(self) -> bool:
        """Staff see to the refunds that the bank sent back. Whether there was anything to do."""
        self._looks += 1
        found = self._sent_back() if self._looks < 20 else []
        for key, part in found:
            self._refund_again(key, part)
        return bool(found)

    def _sent_back(self) -> list[tuple[str, Obligation]]:
        """What else is owed payments sees to by itself."""
        return [
            (key, part)
            for key, _, part in owed(self.world)
            if part.status is ObligationStatus.OWED and part.reference and (key, part.attempt) not in self.unreachable
        ]

    def _refund_again(self, key: str, part: Obligation) -> None:
        """Mostly by the provider, once more; or in another way. Some customers cannot be reached."""
        drawn, note = self._bank.random(), OF_ATTEMPT.format(part.attempt)
        if drawn < 0.15:
            self.unreachable.add((key, part.attempt))
        elif drawn < 0.4:
            self._command(RefundPayment(attempt=part.attempt, refund_payment=False, note=note), key)
        else:
            self._command(RefundPayment(attempt=part.attempt, note=note), key)

    async def _quiet(self) -> None:
        """Till nothing goes on but what is far away."""
        await asyncio.sleep(3.0)
        while unrest(self.world):
            await asyncio.sleep(0.25)

    def _waits(self, key: str) -> bool:
        status = self.world.statuses.get(key)
        return bool(status and status["status"] in UNFINISHED)

    async def _see_to(self, key: str) -> None:
        for command in self.warehouse.last_work(key):
            await self.world.submit("fulfillment", command, key, actor="staff:carl")
        items = self.world.statuses[key]["items"]
        if any(item["delivery"] == "waiting" and item["shippable"] for item in items):
            ship = ShipOrder(carrier="Post", tracking=f"T-{key}")
            await self.world.submit("fulfillment", ship, key, actor="staff:carl")
        if any(
            item["delivery"] == "failed" or (item["delivery"] == "waiting" and not item["shippable"]) for item in items
        ):
            retry = RetryDelivery(latest=int(key[-1], 16) % 2 == 0)
            await self.world.submit("fulfillment", retry, key, actor="staff:carl")
