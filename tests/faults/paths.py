"""The eight paths of an order's life, each as a story with one possible end; and what an order looks like at its end.

The same path told twice, once in peace and once while processes are killed, must end in the same `End`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from deploy.cli.order_timeline import staffs_timeline
from deploy.client.http import ClientError
from deploy.demo import stories
from deploy.demo.basket import person
from deploy.demo.catalogue import DESK, HOOK
from deploy.demo.shop import Order
from deploy.demo.stories import DECLINED_CARD, TIMEOUT, Visit
from services.registry import SERVICES
from shared.contracts.codes import AddCodes
from shared.contracts.payments import RefundPayment
from tests.faults.system import HASTY, SCARCE, System

LAST_COPY = "numbered"
STUMBLES = 5
"""The course platform fails at one call out of so many. If it failed at the first ones, a customer who comes alone
(just before payment stops for minutes) would meet them all, and wait for the whole back-off."""


class Staff:
    """Wait until all orders in the same trouble are there, then remedy it once for all of them."""

    def __init__(self, expected: int, remedy: Callable[[], Awaitable[None]], timeout: float) -> None:
        self._missing, self._remedy, self._timeout = expected, remedy, timeout
        self._done = asyncio.Event()

    async def fix(self) -> None:
        self._missing -= 1
        if not self._missing:
            await self._remedy()
            self._done.set()
        async with asyncio.timeout(self._timeout):
            await self._done.wait()


@dataclass
class Scene(Visit):
    """A visit, and the staff behind the counter."""

    staff: Mapping[str, Staff] = field(default_factory=dict)


async def lets_the_reservation_lapse(scene: Scene) -> None:
    await scene.buys(DECLINED_CARD)
    await scene.sees("expired")


async def is_cancelled_before_paying(scene: Scene) -> None:
    await scene.buys(DECLINED_CARD)
    await scene.is_told_of_the_decline()
    await scene.order.is_cancelled()
    await scene.sees("cancelled")


async def wants_ten_per_cent_back(scene: Scene) -> None:
    await scene.buys()
    await scene.sees("completed")
    await scene.order.is_refunded(int(scene.order.latest["purchased"]) // 10)
    await scene.order.shows(_partly_refunded, "a partial refund", within=scene.timeout)


async def is_refunded_by_two_at_once(scene: Scene) -> None:
    """Each refunds 60 %: one of them has to be refused."""
    await scene.buys()
    await scene.sees("completed")
    amount = int(scene.order.latest["purchased"]) * 6 // 10
    await asyncio.gather(*(scene.order.publish(RefundPayment(amount=amount), actor=f"staff-{n}") for n in (1, 2)))
    await scene.order.shows(_partly_refunded, "a partial refund", within=scene.timeout)


def _partly_refunded(order: Order) -> bool:
    return bool(order.latest["payment_status"] == "partially_refunded")


async def books_where_the_desk_refuses(scene: Scene) -> None:
    await scene.buys()
    await scene.sees("failed")
    await scene.staff["workshop"].fix()
    await scene.order.is_tried_again()
    await scene.sees("completed")


async def waits_for_a_code(scene: Scene) -> None:
    await scene.buys()
    await scene.order.shows(_waits, "an item that waits", within=scene.timeout)
    await scene.staff[SCARCE].fix()
    await scene.sees("completed")


def _waits(order: Order) -> bool:
    return any(item["delivery"] == "waiting" for item in order.latest.get("items") or ())


@dataclass(frozen=True)
class Way:
    name: str
    walk: Callable[[Scene], Awaitable[None]]
    skus: tuple[str, ...] = ("atlas", "audiobook")
    ends: frozenset[str] = frozenset({"completed"})
    store: str = ""
    declines: int = 0
    """How many payments the story means to be declined."""


def _ends(*statuses: str) -> frozenset[str]:
    return frozenset(statuses)


EVERYTHING = ("atlas", "tides", "audiobook", "navigation", "print")
PATHS = (
    Way("1 happy", stories.buys_downloads, ("atlas", "audiobook", "navigation")),
    Way("1 happy, with a parcel", stories.buys_a_print, EVERYTHING),
    Way("2 declined, another card", stories.pays_with_another_card, declines=1),
    Way("2 declined, expires", lets_the_reservation_lapse, ("tides", "print"), _ends("expired"), HASTY, declines=1),
    Way("3 3-D Secure", stories.confirms_with_the_bank, ("atlas", "navigation")),
    Way("3 3-D Secure fails", stories.fails_at_the_bank, declines=1),
    Way("4 cancelled before payment", is_cancelled_before_paying, ("print", "tides"), _ends("cancelled"), declines=1),
    Way("4 cancelled after payment", stories.cancels_after_paying, EVERYTHING, _ends("cancelled")),
    Way("5 refunded", stories.wants_all_money_back, ("atlas", "navigation"), _ends("refunded")),
    Way("5 refunded in part", wants_ten_per_cent_back),
    Way("5 refunded by two at once", is_refunded_by_two_at_once),
    Way("6 delivery fails", books_where_the_desk_refuses, ("workshop", "tides")),
    Way("6 the pool is empty", waits_for_a_code, (SCARCE, "tides")),
    Way("7 sold out", stories.wants_a_last_copy, (LAST_COPY,), _ends("completed", "cancelled")),
    Way("8 invalid at first", stories.corrects_a_mistake, ("print",)),
    Way("8 invalid", stories.never_gets_it_right, ("print",), _ends("created")),
)


@dataclass
class Journey:
    """A path, and the order that took it."""

    path: Way
    scene: Scene
    trouble: str = ""

    @property
    def order(self) -> Order:
        return self.scene.order


async def walk(
    system: System,
    paths: Sequence[Way],
    *,
    seconds: float = 0.0,
    at_once: int = 600,
    timeout: float = TIMEOUT,
    staff: Mapping[str, Staff] | None = None,
) -> list[Journey]:
    """Send one customer down each path, spread over so many seconds; returns when all stories are told. `timeout`:
    seconds that each waits for one step. `staff`: where `troubles` were shaped before."""
    if staff is None:
        staff = await troubles(system, paths, timeout)
    told: list[Journey] = []
    room = asyncio.Semaphore(at_once)

    async def one(it: Journey) -> None:
        try:
            await _happens(it)
            if it.trouble:
                it.trouble += "".join([f"\n  {each}" for each in await waiting_for(system, it.order.id)])
        finally:
            room.release()

    async with asyncio.TaskGroup() as group:
        for path in paths:
            await room.acquire()
            told.append(Journey(path, _scene(system, path, staff, timeout)))
            group.create_task(one(told[-1]))
            await asyncio.sleep(seconds / len(paths))
    return told


async def walk_one(system: System, path: Way) -> Journey:
    """Send one customer down a path on which no staff is needed."""
    it = Journey(path, _scene(system, path, {}, TIMEOUT))
    await _happens(it)
    return it


async def _happens(it: Journey) -> None:
    try:
        await it.path.walk(it.scene)
    except Exception as trouble:
        it.trouble = f"{type(trouble).__name__}: {trouble}"


async def waiting_for(system: System, order: str) -> list[str]:
    """What the services say that an order waits for: since when, why, and when it is tried next."""
    found: list[str] = []
    for service in SERVICES:
        try:
            waiting = (await system.edges.get(service, "/operations", key=order))["operations"]
        except ClientError as trouble:
            found.append(str(trouble))
            continue
        found += [
            f"{service}: {it['kind']} since {it['since']}, called {it['attempts']} times, "
            f"next at {it['next_try'] or '?'}. {it['error']}{it['paused']}"
            for it in waiting
        ]
    return found


def _scene(system: System, path: Way, staff: Mapping[str, Staff], timeout: float) -> Scene:
    order = system.shop.order(path.store)
    customer = person("Grace Hopper", order.id[-12:])
    skus = [(sku, 1) for sku in path.skus]
    rng = random.Random(0)
    return Scene(order, customer, skus, "DE", 0, system.catalogue, system.bank, rng, timeout=timeout, staff=staff)


async def troubles(system: System, paths: Sequence[Way], timeout: float = TIMEOUT) -> dict[str, Staff]:
    """Shape the troubles: a desk that refuses, a platform that stumbles, half of the last copies, no codes."""
    count = Counter(sku for path in paths for sku in path.skus)
    store = system.catalogue.main
    if count[LAST_COPY]:
        body = {"quantity": max(1, count[LAST_COPY] // 2)}
        await system.edges.command("fulfillment", f"/stores/{store}/stock/{LAST_COPY}", body)
    if count["workshop"]:
        await system.outside.inject(DESK, answer=422)
    await system.outside.inject("course", answer=500, times=1 + len(paths) // 30, every=STUMBLES)

    async def repair() -> None:
        await system.outside.clear_fault(DESK)

    async def fill() -> None:
        codes = tuple(f"RARE-{number}-{random.randbytes(6).hex()}" for number in range(count[SCARCE]))
        await system.shop.storefront.publish(AddCodes(codes=codes), f"{store}/{SCARCE}", actor="staff")

    return {"workshop": Staff(count["workshop"], repair, timeout), SCARCE: Staff(count[SCARCE], fill, timeout)}


# How an order ended

End = dict[str, Any]
"""Everything about an order that must not depend on what was killed when."""


async def ends(system: System, told: Sequence[Journey]) -> list[End]:
    """Asked in bulk where the outside world can say so of all at once."""
    outside = Outside(
        intents=_grouped((await system.bank.books())["payment_intents"], lambda one: one["metadata"].get("order")),
        mails=await _mails(system),
        posts=await _posts(system),
        grants=await system.outside.all_grants(),
    )
    room = asyncio.Semaphore(8)

    async def one(it: Journey) -> End:
        async with room:
            return await _end(system, it, outside)

    return await asyncio.gather(*(one(it) for it in told))


@dataclass(frozen=True)
class Outside:
    """What the provider, mailbox, webhook receivers and course platform know: by order, address, order number,
    address."""

    intents: Mapping[str, list[Any]]
    mails: Mapping[str, list[Any]]
    posts: Mapping[str, list[tuple[str, str]]]
    grants: Mapping[str, list[str]]


def _grouped(things: Sequence[Any], key: Callable[[Any], Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for thing in things:
        found.setdefault(str(key(thing)), []).append(thing)
    return found


async def _mails(system: System) -> dict[str, list[Any]]:
    """By address. A mail here has one recipient."""
    mails: list[Any] = []
    while page := (await system.outside.mails(after=len(mails), limit=10_000))["mails"]:
        mails += page
    return _grouped(mails, lambda mail: mail["to"][0].lower())


async def _end(system: System, it: Journey, outside: Outside) -> End:
    order = await system.edges.order(it.order.id)
    intents = outside.intents.get(it.order.id, [])
    email = it.scene.customer.email
    mails = outside.mails.get(email.lower(), [])
    deliveries = await system.edges.part("fulfillment", f"/orders/{it.order.id}/deliveries") or {"items": []}
    return {
        "trouble": it.trouble,
        "status": (order["status"], order["payment_status"], order["fulfilment_status"]),
        "money": (order["paid"], order["refunded"]),
        "items": sorted((item["sku"], item["quantity"], item["delivery"]) for item in order["items"]),
        "charges at the provider": sum(intent["effects"]["charges"] for intent in intents),
        "captured at the provider": sum(intent["captured"] for intent in intents),
        "refunded at the provider": sum(intent["refunded"] for intent in intents),
        "refunds at the provider": sum(intent["effects"]["refunds"] for intent in intents),
        "codes": sum(len(_codes(item)) for item in deliveries["items"]),
        "courses": sorted(outside.grants.get(email, [])),
        "mails": _counted(
            {mail["message_id"]: mail["subject"].replace(order["number"], "#") for mail in mails}.values()
        ),
        "webhooks": _counted(dict(outside.posts.get(it.order.number, [])).values()),
        "timeline": _counted(it["what"] for it in await _timeline(system, order) if not _differs(it)),
    }


async def _timeline(system: System, order: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """As soon as staff has read all of it, and nothing more comes."""
    path, before = f"/api/v1/orders/{order['key']}", None
    async with asyncio.timeout(TIMEOUT):
        while True:
            known = await system.edges.part("staff", path)
            entries = await staffs_timeline(system.edges, order["key"])
            if known and known["revisions"].get("order") == order["revision"] and entries == before:
                return entries
            before = entries
            await asyncio.sleep(0.5)


def _differs(entry: Mapping[str, str]) -> bool:
    """Staff are told of a pool without codes by the first that waits, of a paused call by those that wait then. What
    was refused, or had no effect, came again or too late."""
    told = f"{entry['what']} {entry['text']}"
    return any(part in told for part in ("delivery_waiting", "waits_for_staff", "was refused", "(No effect: "))


def _codes(item: Mapping[str, Any]) -> list[str]:
    return str((item.get("instructions") or {}).get("code") or "").split()


def _counted(things: Any) -> dict[str, int]:
    return dict(sorted(Counter(things).items()))


async def _posts(system: System) -> dict[str, list[tuple[str, str]]]:
    """(webhook id, type) of what the shop's receivers took, by order number."""
    found: dict[str, list[tuple[str, str]]] = {}
    for store in system.catalogue.stores:
        for request in await system.outside.received(f"{HOOK}-{store}"):
            if request["answer"] < 400:
                body = orjson.loads(request["body"])
                number = str(body["data"].get("order_number"))
                found.setdefault(number, []).append((request["headers"]["webhook-id"], body["event"]))
    return found
