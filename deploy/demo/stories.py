"""The customers' stories: each a short conversation with the shop, and the statuses in which its order may rest.

A story ends when its order is where it ought to stay; if that never happens, the order counts as lost.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from deploy.demo.atelier import Atelier
from deploy.demo.basket import COUNTRIES, NAMES, checkout, person
from deploy.demo.catalogue import Catalogue
from deploy.demo.shop import GOOD_CARD, NeverHappened, Order
from deploy.sandboxes.client import StripeSandbox
from deploy.sandboxes.rcon import PLAYERS
from shared.contracts.delivery_work import MarkDeliveredDelivery
from shared.contracts.payments import RecordPayment, RefundLine, RefundPayment
from shared.contracts.storefront import CheckoutSubmitted, PaymentChoice
from shared.contracts.values import Customer

DECLINED_CARD = "pm_card_visa_chargeDeclinedInsufficientFunds"
SECURE_CARD = "pm_card_threeDSecure2Required"
CLOSED_ACCOUNT = "pm_card_refundFail"
TIMEOUT = 180.0
"""Seconds, unless a visit says otherwise: the shop may be full."""
DIGITAL = ("atlas", "tides", "audiobook", "navigation")


@dataclass
class Visit:
    """One customer with a basket in mind, and the order that comes of it."""

    order: Order
    customer: Customer
    skus: list[tuple[str, int]]
    country: str
    discount: int
    catalogue: Catalogue
    bank: StripeSandbox
    rng: random.Random
    marks: set[str] = field(default_factory=set)
    timeout: float = TIMEOUT
    """Seconds that the story waits for one step."""
    atelier: Atelier | None = None
    """Where something is made to order."""

    def checkout(self, card: str = GOOD_CARD) -> CheckoutSubmitted:
        return checkout(
            self.catalogue,
            self.order.store,
            self.customer,
            self.skus,
            card=card,
            country=self.country,
            discount=self.discount,
        )

    async def buys(self, card: str = GOOD_CARD) -> None:
        await self.order.opens(COUNTRIES[self.country].currency, self.country)
        await self.order.submits(self.checkout(card))

    async def sees(self, *statuses: str) -> None:
        await self.order.becomes(*statuses, within=self.timeout)

    async def is_told_of_the_decline(self) -> None:
        await self.order.shows(lambda it: it.latest.get("payment_status") == "failed", "a decline", within=self.timeout)

    async def meets_the_bank(self, *, passed: bool) -> None:
        """Follows the link to the bank's page and presses a button there."""
        seen = await self.order.shows(
            lambda it: "/3d_secure/" in str(it.latest.get("pay_url")), "a link to the bank", within=self.timeout
        )
        await self.bank.authenticate(str(seen["pay_url"]), passed=passed)

    async def gets_a_parcel(self) -> None:
        """Staff send what waits for shipment, once all else is delivered."""
        await self.order.shows(_waits_for_a_parcel, "a parcel to send", within=self.timeout)
        await self.order.is_shipped()


def _waits_for_a_parcel(order: Order) -> bool:
    items = [item for item in order.latest.get("items") or [] if item["kind"] != "delivery"]
    return bool(items) and all(item["delivery"] == ("waiting" if item["shippable"] else "delivered") for item in items)


async def buys_downloads(visit: Visit) -> None:
    await visit.buys()
    await visit.sees("completed")


async def joins_the_club(visit: Visit) -> None:
    """Buys a box that brings two things, with the offer that brings a third."""
    await visit.order.opens(COUNTRIES[visit.country].currency, visit.country)
    await visit.order.submits(visit.checkout().model_copy(update={"offer": "club"}))
    await visit.sees("completed")


async def buys_a_rank(visit: Visit) -> None:
    """For a player who is on the game server."""
    basket, player = visit.checkout(), visit.rng.choice(PLAYERS)
    items = tuple(item.model_copy(update={"custom_fields": {"player": player}}) for item in basket.items)
    await visit.order.opens(COUNTRIES[visit.country].currency, visit.country)
    await visit.order.submits(basket.model_copy(update={"items": items}))
    await visit.sees("completed")


async def becomes_a_keeper(visit: Visit) -> None:
    """Takes lessons on the campus, and gets a role on the Discord server."""
    await visit.buys()
    await visit.sees("completed")


async def stops_the_lessons(visit: Visit) -> None:
    """All money back: access to the campus and the role end."""
    await becomes_a_keeper(visit)
    await visit.order.is_refunded()
    await visit.sees("refunded")


async def buys_a_print(visit: Visit) -> None:
    await visit.buys()
    await visit.gets_a_parcel()
    await visit.sees("completed")


async def pays_with_another_card(visit: Visit) -> None:
    await visit.buys(DECLINED_CARD)
    await visit.is_told_of_the_decline()
    await visit.order.pays_again()
    await visit.sees("completed")


async def leaves_after_a_decline(visit: Visit) -> None:
    await visit.buys(DECLINED_CARD)
    await visit.sees("expired")


async def confirms_with_the_bank(visit: Visit) -> None:
    await visit.buys(SECURE_CARD)
    await visit.meets_the_bank(passed=True)
    await visit.sees("completed")


async def fails_at_the_bank(visit: Visit) -> None:
    await visit.buys(SECURE_CARD)
    await visit.meets_the_bank(passed=False)
    await visit.is_told_of_the_decline()
    await visit.order.pays_again()
    await visit.sees("completed")


async def gives_up_before_paying(visit: Visit) -> None:
    await visit.buys(DECLINED_CARD)
    await visit.is_told_of_the_decline()
    await visit.order.is_given_up()
    await visit.sees("cancelled")


async def cancels_after_paying(visit: Visit) -> None:
    await visit.buys()
    await visit.order.shows(_waits_for_a_parcel, "a parcel to send", within=visit.timeout)
    await visit.order.is_cancelled()
    await visit.order.shows(_is_cancelled_and_refunded, "a refund", within=visit.timeout)


async def wants_all_money_back(visit: Visit) -> None:
    """Codes that the customer has seen stay theirs: no other customer gets them."""
    await visit.buys()
    await visit.sees("completed")
    await visit.order.is_refunded()
    await visit.sees("refunded")


async def cancels_season_keys(visit: Visit) -> None:
    """At once: keys that are on their way by then and were not seen return to their pool."""
    await visit.buys()
    await visit.order.shows(lambda it: it.latest.get("payment_status") == "paid", "the payment", within=visit.timeout)
    await visit.order.is_cancelled()
    await visit.order.shows(_is_cancelled_and_refunded, "a refund", within=visit.timeout)


def _is_cancelled_and_refunded(order: Order) -> bool:
    return order.status == "cancelled" and order.latest["payment_status"] == "refunded"


async def wants_some_money_back(visit: Visit) -> None:
    await visit.buys()
    await visit.sees("completed")
    await visit.order.is_refunded(visit.rng.randint(100, 500))
    await visit.order.shows(
        lambda it: it.latest["payment_status"] == "partially_refunded", "a partial refund", within=visit.timeout
    )


async def wants_one_product_back(visit: Visit) -> None:
    await visit.buys()
    await visit.sees("completed")
    await visit.order.publish(RefundPayment(items=(RefundLine(item="1"),), reason="not_as_described"))
    await visit.order.shows(lambda it: it.latest["items"][0]["refunded"] > 0, "a refunded item", within=visit.timeout)


async def gets_cash_back(visit: Visit) -> None:
    """Staff refund it over the counter, and record it."""
    await visit.buys()
    await visit.sees("completed")
    note = "Refunded in cash at the counter."
    await visit.order.publish(RefundPayment(amount=visit.rng.randint(100, 500), refund_payment=False, note=note))
    await visit.order.shows(_partly_refunded, "a recorded refund", within=visit.timeout)


async def has_closed_the_account(visit: Visit) -> None:
    """The bank sends the refund back."""
    await visit.buys(CLOSED_ACCOUNT)
    await visit.sees("completed")
    await visit.order.is_refunded(visit.rng.randint(100, 500))
    await visit.order.shows(_was_sent_back, "a refund that was sent back", within=visit.timeout)


def _partly_refunded(order: Order) -> bool:
    return bool(order.latest["payment_status"] == "partially_refunded")


def _was_sent_back(order: Order) -> bool:
    return "sent back by the bank" in str(order.latest.get("message"))


async def pays_by_bank_transfer(visit: Visit) -> None:
    """Staff find the money on the account, and record it."""
    transfer = PaymentChoice(provider="manual", method="bank_transfer")
    await visit.order.opens(COUNTRIES[visit.country].currency, visit.country)
    await visit.order.submits(visit.checkout().model_copy(update={"payment": transfer}))
    await visit.order.shows(_waits_for_the_transfer, "that it waits for the transfer", within=visit.timeout)
    await visit.order.publish(RecordPayment(method="bank_transfer", reference=f"SEPA-{visit.order.id[-8:]}"))
    await visit.sees("completed")


def _waits_for_the_transfer(order: Order) -> bool:
    return "Waits for the payment" in str(order.latest.get("message"))


async def wants_a_last_copy(visit: Visit) -> None:
    await visit.buys()
    await visit.sees("completed", "cancelled")


async def corrects_a_mistake(visit: Visit) -> None:
    """Forgets the address and miscounts, is told both, and puts it right."""
    right = visit.checkout()
    await visit.order.opens(right.currency, visit.country)
    await visit.order.submits(right.model_copy(update={"shipping": None, "total": right.total + 1}))
    await visit.order.is_refused(within=visit.timeout)
    await visit.order.submits(right)
    await visit.gets_a_parcel()
    await visit.sees("completed")


async def orders_an_engraving(visit: Visit) -> None:
    """Staff engrave it and say so, then send it; the customer has mislaid the email, and gets it once more."""
    await visit.buys()
    await visit.order.shows(_waits_for_a_parcel, "a compass to engrave", within=visit.timeout)
    await visit.order.is_made_by_hand()
    await visit.order.is_shipped()
    await visit.sees("completed")
    await visit.order.is_sent_again()


async def orders_a_portrait(visit: Visit) -> None:
    """Staff paint it and upload it for this order; the customer downloads it by the link of the email."""
    assert visit.atelier
    await visit.buys()
    await visit.order.shows(_waits_for_staff, "a portrait to paint", within=visit.timeout)
    portrait = f"A portrait of {visit.customer.name}. ".encode() * 5_000
    await visit.atelier.hands_over(visit.order, portrait, f"Portrait of {visit.customer.name}.png", visit.timeout)
    await visit.order.publish(MarkDeliveredDelivery(items=("1",), reason="Painted."))
    await visit.sees("completed")
    link = await visit.atelier.link_to(visit.customer.email, visit.timeout)
    if await visit.atelier.download(link, visit.timeout) != portrait:
        raise NeverHappened(f"order {visit.order.id} has another portrait")


def _waits_for_staff(order: Order) -> bool:
    return any(item["delivery"] == "waiting" for item in order.latest.get("items") or [])


async def never_gets_it_right(visit: Visit) -> None:
    right = visit.checkout()
    await visit.order.opens(right.currency, visit.country)
    await visit.order.submits(right.model_copy(update={"subtotal": right.subtotal + 1}))
    await visit.order.is_refused(within=visit.timeout)
    await visit.sees("created")


async def only_looks(visit: Visit) -> None:
    await visit.order.opens(COUNTRIES[visit.country].currency, visit.country)
    await visit.sees("expired")


async def books_a_workshop(visit: Visit) -> None:
    """The booking desk may refuse; then staff look, and have it tried again."""
    await visit.buys()
    await visit.sees("completed", "failed")
    while visit.order.status == "failed":
        visit.marks.add("failed")
        await visit.order.is_tried_again()
        await visit.sees("processing", "completed")
        await visit.sees("completed", "failed")


@dataclass(frozen=True)
class Story:
    """`share`: of all customers, in per cent. `by_itself`: it needs no help from the submission to completion."""

    name: str
    share: float
    walk: Callable[[Visit], Awaitable[None]]
    ends: frozenset[str] = frozenset({"completed"})
    skus: tuple[str, ...] = ()
    """Always in the basket."""
    digital: bool = True
    """Some downloads, codes or courses are in the basket."""
    at_the_fair: bool = False
    at_the_games: bool = False
    at_the_atelier: bool = False
    by_itself: bool = False


def _ends(*statuses: str) -> frozenset[str]:
    return frozenset(statuses)


STORIES = (
    Story("buys downloads", 35, buys_downloads, by_itself=True),
    Story("returns season keys", 1, wants_all_money_back, _ends("refunded"), skus=("season-pass",), digital=False),
    Story(
        "cancels season keys", 1, cancels_season_keys, _ends("cancelled"), skus=("season-pass", "print"), digital=False
    ),
    Story("joins the club", 1, joins_the_club, skus=("box",)),
    Story("becomes a keeper", 2, becomes_a_keeper, skus=("lessons", "keeper"), digital=False, by_itself=True),
    Story("stops the lessons", 1, stops_the_lessons, _ends("refunded"), skus=("lessons", "keeper"), digital=False),
    Story("buys a rank", 1, buys_a_rank, skus=("rank",), digital=False, at_the_games=True),
    Story("orders an engraving", 1, orders_an_engraving, skus=("compass",)),
    Story("orders a portrait", 1, orders_a_portrait, skus=("portrait",), digital=False, at_the_atelier=True),
    Story("buys a print", 14, buys_a_print, skus=("print",)),
    Story("pays with another card", 6, pays_with_another_card),
    Story("leaves after a decline", 3, leaves_after_a_decline, _ends("expired"), at_the_fair=True),
    Story("confirms with the bank", 5, confirms_with_the_bank),
    Story("fails at the bank", 2, fails_at_the_bank),
    Story("gives up before paying", 3, gives_up_before_paying, _ends("cancelled")),
    Story("cancels after paying", 3, cancels_after_paying, _ends("cancelled"), skus=("print",)),
    Story("wants all money back", 4, wants_all_money_back, _ends("refunded")),
    Story("wants some money back", 3, wants_some_money_back),
    Story("wants one product back", 1, wants_one_product_back, _ends("completed", "refunded")),
    Story("gets cash back", 1, gets_cash_back),
    Story("has closed the account", 1, has_closed_the_account),
    Story("pays by bank transfer", 1, pays_by_bank_transfer),
    Story("wants a last copy", 3, wants_a_last_copy, _ends("completed", "cancelled"), ("numbered",), by_itself=True),
    Story("corrects a mistake", 2, corrects_a_mistake, skus=("print",)),
    Story("never gets it right", 1, never_gets_it_right, _ends("created")),
    Story("only looks", 1, only_looks, _ends("expired"), at_the_fair=True),
    Story("books a workshop", 2, books_a_workshop, skus=("workshop",), digital=False),
)


def cast(orders: int, rng: random.Random) -> list[Story]:
    """Who comes, and when: the shares as exactly as whole people allow, the first one happy, then well mixed."""
    wanted = [orders * story.share / 100 for story in STORIES]
    counts = [int(number) for number in wanted]
    by_remainder = sorted(range(len(STORIES)), key=lambda index: counts[index] - wanted[index])
    for index in by_remainder[: orders - sum(counts)]:
        counts[index] += 1
    people = [story for story, count in zip(STORIES, counts, strict=True) for _ in range(count)]
    rng.shuffle(people)
    first = next((index for index, story in enumerate(people) if story.by_itself), 0)
    people.insert(0, people.pop(first))
    return people


def visit(
    story: Story, number: int, order: Order, catalogue: Catalogue, bank: StripeSandbox, atelier: Atelier, seed: int
) -> Visit:
    """The customer of a story: name, country and basket come of the seed and the number."""
    rng = random.Random(f"{seed}/{number}")  # noqa: S311  # a play, no secrets
    skus = [(sku, 1) for sku in story.skus]
    if story.digital:
        skus += [(sku, 1) for sku in rng.sample(DIGITAL, k=rng.choice((1, 1, 2, 2, 3)))]
    country = rng.choice(list(COUNTRIES))
    discount = 100 if rng.random() < 0.2 else 0
    customer = person(rng.choice(NAMES), f"{number}-{order.id[-6:]}")
    return Visit(order, customer, skus, country, discount, catalogue, bank, rng, atelier=atelier)
