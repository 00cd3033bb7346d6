"""A file for one item of an order: what is stored, and what is left, however the upload ends."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from services.fulfillment.domain.delivery import AttachedFile, Delivery, Item, ItemStatus, Stage
from services.fulfillment.order_files import OrderUpload, name_of_upload
from shared.contracts.delivery_work import AttachDelivery
from shared.core import Refused
from shared.core.fast_dataclasses import replace
from shared.shell.ports.http_api import Accepted

FILE = name_of_upload("o-1", "1", "key-1")
ACCEPTED = Accepted("1", duplicate=False)
REVOKED = Refused("item_revoked", "Item 1 was refunded or revoked.")


@dataclass
class Uploading:
    """One upload of `FILE`, and what happens meanwhile."""

    item: Item = field(default_factory=lambda: Item("1", "poster", "Poster", 1, status=ItemStatus.DELIVERED))
    stored: set[str] = field(default_factory=set)
    answer: Accepted | Refused = ACCEPTED
    dies: bool = False
    """The worker, once the file is stored."""

    async def made(self) -> Accepted | Refused | None:
        command = AttachDelivery(item="1", file=FILE, file_name="a.png", reason="Made.")
        return await OrderUpload("o-1", command, self.delivery, self.store, self.remove, self.submit).made()

    async def delivery(self) -> Delivery:
        return Delivery(Stage.PAID, "s", items=(self.item,))

    async def store(self) -> None:
        self.stored.add(FILE)

    async def remove(self) -> None:
        self.stored.discard(FILE)

    async def submit(self) -> Accepted | Refused:
        assert FILE in self.stored, "it is stored first"
        if self.dies:
            raise ConnectionError
        return self.answer


async def test_a_file_is_stored_before_it_is_attached() -> None:
    upload = Uploading()
    assert (await upload.made(), upload.stored) == (ACCEPTED, {FILE})


async def test_what_is_refused_meanwhile_leaves_no_file() -> None:
    upload = Uploading(answer=REVOKED)
    assert (await upload.made(), upload.stored) == (REVOKED, set())


async def test_one_that_broke_off_and_is_refused_when_it_is_repeated_leaves_no_file() -> None:
    upload = Uploading(dies=True)
    with pytest.raises(ConnectionError):
        await upload.made()
    upload.item = replace(upload.item, status=ItemStatus.REVOKED)
    assert (await upload.made(), upload.stored) == (REVOKED, set())


async def test_a_repetition_keeps_what_the_item_has() -> None:
    upload = Uploading(stored={FILE}, answer=Refused("too_many", "An item has at most 20 attachments."))
    upload.item = replace(upload.item, files=(AttachedFile(FILE, "a.png"),))
    assert (await upload.made(), upload.stored) == (upload.answer, {FILE})


def test_each_request_has_a_name_of_its_own() -> None:
    names = {name_of_upload("o-1", item, key) for item in ("1", "1/2") for key in ("key-1", "key-2")}
    assert len(names) == 4
    assert name_of_upload("o-1", "1", "key-1") == FILE
