"""What is made to order: staff upload it for the item of one order, and the customer follows the link of the email."""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlencode

import aiohttp

from deploy.client.http import ApiClient, ClientError
from deploy.demo.shop import NeverHappened, Order
from deploy.sandboxes.client import OutsideWorld

PAUSE = 0.3
T = TypeVar("T")


@dataclass
class Atelier:
    edges: ApiClient
    outside: OutsideWorld

    async def hands_over(self, order: Order, content: bytes, name: str, within: float) -> None:
        """Upload it for the order's first item. Repeated under the same key until it is answered."""
        path = f"/orders/{order.id}/items/1/file?{urlencode({'name': name, 'reason': 'Made to order.'})}"

        async def upload() -> bool:
            await self.edges.put_file("fulfillment", path, io.BytesIO(content), f"portrait-{order.id}")
            return True

        await _until(upload, "the answer to an upload", within)

    async def link_to(self, customer: str, within: float) -> str:
        """The link to download that an email to this address has."""

        async def look() -> str:
            for mail in (await self.outside.mails(to=customer))["mails"]:
                text = (await self.outside.mail(mail["id"]))["text"]
                if found := re.search(r"https?://\S+/downloads/[^\s>)]+", text):
                    return found[0]
            return ""

        return await _until(look, f"an email to {customer} with a link", within)

    async def download(self, link: str, within: float) -> bytes:
        """As clients do that were broken off: first a part, then what is left of the same file."""

        async def fetch() -> bytes:
            async with aiohttp.ClientSession() as browser:
                async with browser.get(link, headers={"Range": "bytes=0-999"}) as first:
                    part, tag = await first.read(), first.headers.get("ETag", "")
                rest_of = {"Range": f"bytes={len(part)}-", "If-Range": tag}
                async with browser.get(link, headers=rest_of) as rest:
                    both = (first.status, rest.status)
                    return part + await rest.read() if both == (HTTPStatus.PARTIAL_CONTENT,) * 2 else b""

        return await _until(fetch, "the file", within)


async def _until(look: Callable[[], Coroutine[None, None, T]], what: str, within: float) -> T:
    """What is found, as soon as there is something. Raises NeverHappened."""
    deadline, last = time.monotonic() + within, ""
    while time.monotonic() < deadline:
        try:
            if found := await look():
                return found
        except (ClientError, aiohttp.ClientError, TimeoutError) as trouble:
            last = f": {trouble}"
        await asyncio.sleep(PAUSE)
    raise NeverHappened(f"{what} did not come within {within:.0f} s{last}")
