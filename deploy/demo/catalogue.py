"""The shop that ships with orderbus (`catalogue.toml`), and setting it up over the services' HTTP edges."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy.client.http import ApiClient
from deploy.sandboxes.client import OutsideWorld
from deploy.sandboxes.discord import GUILD, TOKEN
from deploy.sandboxes.rcon import PASSWORD
from deploy.sandboxes.server import LOOPBACK

FILE = Path(__file__).with_name("catalogue.toml")
WEBHOOK_EVENTS = (
    "order.received",
    "order.refunded",
    "order.refund_failed",
    "order.created",
    "order.updated",
    "order.completed",
)
HOOK = "demo"
DESK = "hooks/workshop-desk"
"""Where the workshop's booking desk answers, in the outside world."""

SECRETS = {
    "campus-token": "a-token-of-the-campus",
    "campus-signing": "whsec_" + "bGlnaHRob3VzZS1jYW1wdXMtc2lnbmluZy1rZXk=",
    "keepers-bot": TOKEN,
}
"""Of the outside world, by name."""


@dataclass(frozen=True)
class Product:
    sku: str
    product: str
    prices: Mapping[str, int]
    action: Mapping[str, Any]
    shippable: bool = False
    stock: int | None = None
    """Units at the start; None if the stock is not tracked."""
    codes: int = 0
    """Redemption codes in its pool from the start."""
    as_file: bool = False
    """They are imported from a CSV file."""
    reduced: bool = False
    """Taxed at the reduced rate."""
    further: Sequence[Mapping[str, Any]] = ()
    """Further actions."""
    fields: Sequence[str] = ()
    """Custom fields that the customer fills in."""
    made_to_order: bool = False
    """Sold by the atelier alone."""
    of: str = ""
    """The product that it is a SKU of, if that has several."""


@dataclass(frozen=True)
class Delivery:
    """What a parcel costs the customer."""

    name: str
    prices: Mapping[str, int]


@dataclass(frozen=True)
class Catalogue:
    """`stores` by id, each as `store.configure` wants it; the first is where most customers buy."""

    stores: Mapping[str, Mapping[str, Any]]
    products: Mapping[str, Product]
    delivery: Delivery
    offers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By id, each as `offer.configure` wants it."""
    servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The game servers by id, as `server.configure` wants them, but for their address: the outside world's."""
    atelier: str = ""
    """The store that sells what is made to order, and nothing else."""

    @property
    def main(self) -> str:
        return next(iter(self.stores))

    @property
    def fair(self) -> str:
        return list(self.stores)[1]

    @property
    def games(self) -> str:
        """Sells what is done on its game server."""
        return list(self.stores)[2]

    def sold_by(self, store: str) -> list[Product]:
        return [each for each in self.products.values() if each.made_to_order == (store == self.atelier)]


def load(outside_url: str, codes: int | None = None) -> Catalogue:
    """The shipped catalogue, its actions pointing at the outside world at `outside_url`. `codes`: other than written
    there, in every pool."""
    read = tomllib.loads(FILE.read_text().replace("{outside}", outside_url))
    stores = [read["store"] | read.get(place, {}) for place in ("store", "fair", "games", "atelier")]
    products = {entry["sku"]: Product(**entry) for entry in read["product"]}
    if codes is not None:
        products = {sku: replace(product, codes=min(codes, product.codes)) for sku, product in products.items()}
    offers = {entry.pop("id"): entry for entry in map(dict, read["offer"])}
    servers = {entry.pop("id"): entry for entry in map(dict, read["server"])}
    by_id, delivery = {store.pop("id"): store for store in stores}, Delivery(**read["delivery"])
    return Catalogue(by_id, products, delivery, offers, servers, atelier=read["atelier"]["id"])


async def open_shop(
    edges: ApiClient,
    outside: OutsideWorld,
    catalogue: Catalogue,
    stock: Mapping[str, int] | None = None,
    hook: str = HOOK,
) -> None:
    """Tell the services of stores, products, stock and codes, and have webhooks sent to the outside world.

    `stock`: units beyond those of the catalogue. Running it again changes nothing else, but adds the stock again.
    `hook`: names the receivers. Each knows one secret only, so systems that share an outside world need different ones.
    """
    for store, settings in catalogue.stores.items():
        await edges.command("checkout", f"/stores/{store}", settings, method="PUT")
        await connect(edges, store)
    await asyncio.gather(
        *(
            offer(edges, store, product, (stock or {}).get(product.sku, 0))
            for store in catalogue.stores
            for product in catalogue.sold_by(store)
        ),
        *(
            edges.command("fulfillment", f"/stores/{catalogue.main}/offers/{id}", offered, method="PUT")
            for id, offered in catalogue.offers.items()
        ),
        send_webhooks(edges, outside, catalogue, hook),
    )
    for store in catalogue.stores:  # a worker takes one file at a time
        for product in catalogue.products.values():
            if product.as_file:
                await _import_codes(edges, store, product)
    await _open_games(edges, outside, catalogue)


async def _open_games(edges: ApiClient, outside: OutsideWorld, catalogue: Catalogue) -> None:
    port = (await outside.console())["port"] if catalogue.servers else 0
    for id, server in catalogue.servers.items():
        root = f"/stores/{catalogue.games}"
        secret = f"{root}/secrets/{server['password']}"
        await edges.command("fulfillment", secret, {"value": PASSWORD}, method="PUT")
        reached = dict(server) | {"host": LOOPBACK, "port": port}
        await edges.command("fulfillment", f"{root}/servers/{id}", reached, method="PUT")


async def connect(edges: ApiClient, store: str) -> None:
    """The secrets that actions name, and the Discord server."""
    for name, value in SECRETS.items():
        await edges.command("fulfillment", f"/stores/{store}/secrets/{name}", {"value": value}, method="PUT")
    connection = {"guild": GUILD, "token": "keepers-bot"}
    await edges.command("fulfillment", f"/stores/{store}/discord/keepers", connection, method="PUT")


async def offer(edges: ApiClient, store: str, product: Product, more: int = 0) -> None:
    """Have a store sell a product, `more` units of it than the catalogue says."""
    path = f"/stores/{store}/skus/{product.sku}"
    sku = {"product": product.product, "prices": product.prices, "shippable": product.shippable}
    if not product.of:
        await edges.command("checkout", path, sku, method="PUT")
    counted = product.stock is not None
    configured: dict[str, Any] = {"action": product.action, "track_stock": counted}
    if product.further:
        configured["further"] = product.further
    await edges.command("fulfillment", f"/stores/{store}/products/{product.sku}", configured, method="PUT")
    units = (product.stock or 0) + more
    if counted and units:
        await edges.command("fulfillment", f"/stores/{store}/stock/{product.sku}", {"quantity": units})
    if product.codes and not product.as_file:
        await _fill_pool(edges, store, product)


async def _fill_pool(edges: ApiClient, store: str, product: Product) -> None:
    codes = _codes_of(store, product)
    path = f"/stores/{store}/pools/{product.action['pool']}/codes"
    for first in range(0, len(codes), 10_000):
        await edges.command("fulfillment", path, {"codes": codes[first : first + 10_000]})


async def _import_codes(edges: ApiClient, store: str, product: Product) -> None:
    """A file; those that the pool has already are left out."""
    lines = "".join(f"{code},2026-03-03\r\n" for code in _codes_of(store, product))
    path = f"/stores/{store}/pools/{product.action['pool']}/codes"
    await edges.upload("fulfillment", path, f"code,bought\r\n{lines}".encode(), "text/csv")


def _codes_of(store: str, product: Product) -> list[str]:
    return [f"{product.sku[:4].upper()}-{store[-4:].upper()}-{number:06d}" for number in range(product.codes)]


async def send_webhooks(edges: ApiClient, outside: OutsideWorld, catalogue: Catalogue, hook: str) -> None:
    for store in catalogue.stores:
        receiver = f"{hook}-{store}"
        registration = {"url": outside.hook_url(receiver), "events": WEBHOOK_EVENTS}
        made = await edges.command(
            "notifications", f"/stores/{store}/webhooks", registration, identity=f"endpoint {receiver}"
        )
        if made.get("secret"):
            await outside.set_secret(receiver, made["secret"])
