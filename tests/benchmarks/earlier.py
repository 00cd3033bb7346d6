"""The shop and the customers of an earlier build, which a later one takes as they are: what both can be asked.

An earlier build refuses settings and fields that came after it, so the two are compared on what it has itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from tests.benchmarks.code import Code

MARK = "buyer-zero"
"""Stands in a checkout where a customer's mark comes: letters, digits and `-`, as in the mark."""
OPEN_SHOP = """
import asyncio, sys
from deploy.client.http import ApiClient
from deploy.demo.catalogue import load, open_shop
from deploy.sandboxes.client import OutsideWorld
from deploy.settings import load_system_settings
async def main(url, token, hook):
    async with ApiClient.of(load_system_settings()) as edges, OutsideWorld(url, token) as world:
        await open_shop(edges, world, load(url), hook=hook)
asyncio.run(main(*sys.argv[1:]))
"""
CHECKOUTS = """
import base64, json, random, sys
from deploy.demo.basket import COUNTRIES, checkout, person
from deploy.demo.catalogue import load
from shared.contracts.envelope import encode
from shared.contracts.storefront import CheckoutOpened
url, mark, count, digital = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].split(",")
catalogue = load(url)
for number in range(count):
    rng = random.Random(number)
    country = rng.choice(list(COUNTRIES))
    skus = [(sku, 1) for sku in rng.sample(digital, k=rng.choice((1, 1, 2, 2, 3)))]
    customer = person("Ada Lovelace", mark)
    opened = CheckoutOpened(store=catalogue.main, currency=COUNTRIES[country][0], country=country)
    submitted = checkout(catalogue, catalogue.main, customer, skus, country=country)
    print(json.dumps([encode(opened).decode(), encode(submitted).decode()]))
"""


@dataclass(frozen=True)
class Checkouts:
    """Bodies of `checkout.opened` and `checkout.submitted`, by number."""

    bodies: tuple[tuple[bytes, bytes], ...]

    def of(self, number: int, mark: str) -> tuple[bytes, bytes]:
        """The same basket for a number, always; the customer is the one that is marked so."""
        opened, submitted = self.bodies[number % len(self.bodies)]
        return opened, submitted.replace(MARK.encode(), mark.encode())


@dataclass(frozen=True)
class EarlierShop:
    """What an earlier build's demo sells, and to whom."""

    code: Code
    outside_url: str
    outside_token: str

    async def open(self, settings: Mapping[str, str], hook: str) -> None:
        """Set up its shop over the edges of the services that run with these settings. Raises CodeFailed."""
        await self.code.run("-c", OPEN_SHOP, self.outside_url, self.outside_token, hook, settings=settings)

    async def checkouts(self, count: int, skus: tuple[str, ...]) -> Checkouts:
        """Its customers' checkouts of these SKUs. Raises CodeFailed."""
        printed = await self.code.run("-c", CHECKOUTS, self.outside_url, MARK, str(count), ",".join(skus), settings={})
        pairs = (orjson.loads(line) for line in printed.splitlines())
        return Checkouts(tuple((opened.encode(), submitted.encode()) for opened, submitted in pairs))
