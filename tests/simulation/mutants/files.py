"""Known bugs of customers' files."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.simulation import file_staff
from services.fulfillment import downloads
from services.fulfillment.domain import attached_files, by_hand, renewal
from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import AttachedFile, Item, ItemStatus
from services.fulfillment.order_files import OrderUpload
from shared.core import Refused
from shared.core.fast_dataclasses import replace
from shared.shell.ports.http_api import Accepted
from tests.simulation.mutants.catalogue import instead, mutant


@mutant("an upload is attached before it is stored", slow=True)
def attached_first() -> Iterator[None]:
    async def made(self: OrderUpload) -> Accepted | Refused | None:
        delivery = await self.delivery()
        if delivery is None:
            return None
        repeated = self._has(delivery)
        answer = await self.submit()
        if isinstance(answer, Accepted) and not repeated:
            await self.store()
        return answer

    with instead(OrderUpload, "made", made):
        yield


@mutant("two uploads for an item have one name")
def one_name() -> Iterator[None]:
    def name_of_upload(key: str, item: str, identity: str) -> str:
        return f".orders/{key}/{item.replace('/', '-')}"

    with instead(file_staff, "name_of_upload", name_of_upload):
        yield


@mutant("a file that was made for another order can be attached", slow=True)
def of_any_order() -> Iterator[None]:
    with instead(by_hand, "is_of_another", lambda file, order: False):
        yield


@mutant("a link works although its item was revoked")
def outlives_its_item() -> Iterator[None]:
    real = downloads.wanted_file

    def wanted_file(item: Item | None, attached: str) -> downloads.WantedFile | None:
        return real(replace(item, status=ItemStatus.DELIVERED) if item else None, attached)

    with instead(downloads, "wanted_file", wanted_file):
        yield


@mutant("a file is sent again as the one attached first, whichever was named", seeds=range(2, 10_000))
def first_file_again() -> Iterator[None]:
    real = attached_files.send_file

    def send_file(change: DeliveryChange, item: Item, file: AttachedFile) -> None:
        real(change, item, item.files[0])

    with instead(renewal, "send_file", send_file):
        yield
