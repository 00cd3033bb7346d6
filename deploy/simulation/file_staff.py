"""Staff who give customers files: made to order and uploaded for one item, or the store's; and who send links again."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import partial

import orjson

from deploy.simulation.tasks import unowned
from deploy.simulation.workers import Gone, Worker
from deploy.simulation.world import World
from services.fulfillment.domain.attached_files import ORDERS as FILES_OF_ORDERS
from services.fulfillment.domain.delivery import Delivery
from services.fulfillment.gateways.files import FilesAway
from services.fulfillment.order_files import OrderUpload, name_of_upload
from shared.contracts.checkout import ORDERS
from shared.contracts.delivery_work import AttachDelivery, DeliveryNoted, DeliveryResent, RenewDownload
from shared.contracts.fulfillment import EVENTS, ItemDelivered, ItemRevocationFailed, ItemRevoked
from shared.core import Refused
from shared.shell.http.problems import ProblemResponse
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.http_api import Accepted
from shared.shell.ports.store import StoreUnavailable

WHY = "Made to order."
BROCHURE = "brochure.pdf"
"""A file of the store, which is attached to items of several orders."""
Place = tuple[str, str, str]
"""An order, one of its items, and a file attached to it; empty: what was bought."""


@dataclass(frozen=True, slots=True)
class Upload:
    place: Place
    content: str
    accepted: bool
    notify: bool


class FileStaff:
    def __init__(self, world: World) -> None:
        self._world, self._rng = world, world.rng_of("file staff")
        self.uploads: list[Upload] = []
        """Those that were answered."""
        self.links: Counter[Place] = Counter()
        """How many links of each kind were told of."""
        self.renewed: list[tuple[Place, int]] = []
        """What staff had sent again, and how many links there were before."""
        self.revoked: set[tuple[str, str]] = set()
        """Orders and items that were revoked at some time."""
        world.readers.append(self.read)

    def read(self, record: BusRecord) -> None:
        type, key = (dict(record.headers).get("ce_type") or b"").decode(), (record.key or b"").decode()
        if record.topic == ORDERS.name and type == "order.paid" and self._rng.random() < 0.15:
            self._soon(key, "1")  # it can be made before the rest is delivered
        if record.topic != EVENTS.name:
            return
        if type in (ItemDelivered.type, DeliveryResent.type):
            text = (record.value or b"").decode()
            self.links.update((it.order, it.item, it.file) for it in self._world.links.claims(text))
        fact = orjson.loads(record.value or b"{}") if type in _FACTS else {}
        if type in (ItemRevoked.type, ItemRevocationFailed.type):
            self.revoked.add((key, fact["item"]))
        elif type == DeliveryNoted.type and fact["action"] == "revoked":
            self.revoked |= {(key, item) for item in fact["items"]}
        elif type == ItemDelivered.type and self._rng.random() < 0.25:
            self._soon(key, fact.get("execution") or fact["item"])

    def _soon(self, key: str, item: str) -> None:
        self._world.keep(unowned(lambda: self._act(key, item)))

    async def _act(self, key: str, item: str) -> None:
        await self._hesitate()
        drawn = self._rng.random()
        if drawn < 0.5:
            for _ in range(self._rng.choice((1, 1, 2))):
                await self._upload(key, item)
        elif drawn < 0.7:
            attached = AttachDelivery(item=item, file=BROCHURE, note="Also for you.", reason=WHY)
            self._world.publish(attached, key, actor="staff:hana", times=self._rng.choice((1, 1, 2)))
        elif drawn < 0.8:
            await self._mistake(key, item)
        if drawn < 0.3 or drawn > 0.8:
            await self._hesitate()
            await self._renew(key, item)

    async def _hesitate(self) -> None:
        await asyncio.sleep(self._rng.random() * self._rng.choice((0.3, 5.0, 86400.0)))

    async def _upload(self, key: str, item: str) -> None:
        """As often as it takes, under one Idempotency-Key."""
        world, identity = self._world, str(self._world.new_id())
        file, content = name_of_upload(key, item, identity), f"made for {key}, item {item}: {identity}"
        notify = self._rng.random() < 0.8
        command = AttachDelivery(item=item, file=file, file_name="portrait.png", notify=notify, reason=WHY)

        async def delivery() -> Delivery | None:
            return world.delivery(key)

        async def made(worker: Worker) -> Accepted | Refused | None:
            submit = partial(worker.api().submit, command, key, identity=identity, actor="staff:hana", store="s")
            store, remove = partial(world.cabinet.put, file, content), partial(world.cabinet.delete, file)
            return await OrderUpload(key, command, delivery, store, remove, submit).made()

        while True:
            try:
                answer = await world.worker_of("fulfillment").asked(made)
                break
            except (Gone, ProblemResponse, StoreUnavailable, FilesAway):
                await asyncio.sleep(0.5 + self._rng.random())
        told = f"refused: {answer.code}" if isinstance(answer, Refused) else "accepted" if answer else "unknown order"
        world.history.add("staff:hana", key, f"uploads {file} for item {item}: {told}")
        if answer is not None:
            self.uploads.append(Upload((key, item, file), content, not isinstance(answer, Refused), notify))

    async def _mistake(self, key: str, item: str) -> None:
        """A file of another order is attached, with its whole name: it must be refused."""
        others = [name for name in self._world.cabinet.files if not name.startswith(f"{FILES_OF_ORDERS}{key}/")]
        if others:
            wrong = AttachDelivery(item=item, file=self._rng.choice(others), reason=WHY)
            await self._world.submit("fulfillment", wrong, key, actor="staff:hana")

    async def _renew(self, key: str, item: str) -> None:
        delivery = self._world.delivery(key)
        known = delivery.find(item) if delivery else None
        file = self._rng.choice([None, *(each.file for each in known.files)] if known else [None])
        place = (key, item, file or "")
        before = self.links[place]
        renew = RenewDownload(item=item, file=file, reason="The link has expired.")
        accepted = await self._world.submit("fulfillment", renew, key, actor="staff:hana")
        if accepted and file:
            self.renewed.append((place, before))


_FACTS = frozenset({ItemDelivered.type, ItemRevoked.type, ItemRevocationFailed.type, DeliveryNoted.type})
