"""The stores' files, and the links to them. Nothing of it is in a database: a restore leaves it as it is."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass

from deploy.simulation.fault_profile import FaultProfile
from deploy.simulation.history import History
from deploy.simulation.outside import Outside, Reply
from services.fulfillment.domain.file_operations import SignFile
from services.fulfillment.domain.operations import SignDownload
from services.fulfillment.gateways.files import FilesAway
from services.fulfillment.gateways.links import Claim
from services.fulfillment.gateways.links import Links as RealLinks

ROOT = "https://files.example"
_LINK = re.compile(re.escape(ROOT) + r"/downloads/([\w.=-]+)")


class Links(Outside):
    """The real ones: what a link says, and that only we can make it."""

    def __init__(self, profile: FaultProfile, history: History, rng: random.Random) -> None:
        super().__init__(profile, history, rng)
        self._real = RealLinks("a secret of the simulation", ROOT)

    def do(self, operation: SignDownload | SignFile, key: str) -> Reply:
        if isinstance(operation, SignFile):
            claim = Claim(operation.order, operation.item, operation.expires, operation.file)
            return SignFile.Done(self._real.url(claim))
        return SignDownload.Done(self._real.url(Claim(operation.order, operation.item, operation.expires)))

    def claims(self, text: str) -> list[Claim]:
        """What the links in a text say."""
        return [self._real.read(token) for token in _LINK.findall(text)]


@dataclass(frozen=True)
class Cabinet:
    """The storage of files, by name: a whole file, or none."""

    profile: FaultProfile
    history: History
    rng: random.Random
    files: dict[str, str]

    async def put(self, name: str, content: str) -> None:
        """Raises FilesAway, before or after its effect."""
        await self._moment()
        self.files[name] = content
        self.history.add("files", _order_of(name), f"{name} is stored")
        await self._moment()

    async def delete(self, name: str) -> None:
        """As in production, where trouble is only logged."""
        await asyncio.sleep(self.rng.random() * 0.05)
        if self.files.pop(name, None) is not None:
            self.history.add("files", _order_of(name), f"{name} is removed")

    async def _moment(self) -> None:
        await asyncio.sleep(self.rng.random() * 0.05)
        if self.profile.happens(self.profile.level.provider_busy):
            raise FilesAway("the storage is busy")


def _order_of(name: str) -> str:
    parts = name.split("/")
    return parts[1] if len(parts) == 3 else ""
