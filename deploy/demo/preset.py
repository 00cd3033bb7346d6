"""Presets: whole stores in `deploy/stores/`, with settings, products and customers' stories."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.client.http import ApiClient
from deploy.demo.catalogue import HOOK, Catalogue, Delivery, Product, connect, offer, send_webhooks
from deploy.sandboxes.client import OutsideWorld

FOLDER = Path(__file__).parents[1] / "stores"


@dataclass(frozen=True)
class PresetStory:
    """What a customer and staff do, one step after the other (`preset_stories.STEPS`)."""

    name: str
    by: str
    buys: Sequence[Sequence[Any]]
    """Each a SKU and a quantity."""
    steps: Sequence[str]
    signed_in: bool = True
    country: str = "DE"


@dataclass(frozen=True)
class Preset:
    id: str
    about: str
    settings: Mapping[str, Mapping[str, Any]]
    """As `store.change` has them."""
    catalogue: Catalogue
    stories: Sequence[PresetStory]
    products: Mapping[str, Mapping[str, Any]]
    """Those with several SKUs, as `product.define` has them."""


def names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def load_preset(name: str, outside_url: str) -> Preset:
    """Its actions point at the outside world at `outside_url`. Raises FileNotFoundError."""
    read = tomllib.loads((FOLDER / f"{name}.toml").read_text().replace("{outside}", outside_url))
    products = {entry["sku"]: Product(**entry) for entry in read["product"]}
    catalogue = Catalogue({name: {}}, products, Delivery(**read["delivery"]))
    stories = [
        PresetStory(**entry | {"buys": [(sku, units) for sku, units in entry["buys"]]}) for entry in read["story"]
    ]
    several = {id: {**entry, "skus": _skus_of(id, products)} for id, entry in read.get("products", {}).items()}
    return Preset(name, read["about"], read["settings"], catalogue, stories, several)


def _skus_of(product: str, products: Mapping[str, Product]) -> dict[str, Any]:
    return {sku: {"prices": one.prices} for sku, one in products.items() if one.of == product}


async def open_preset(edges: ApiClient, outside: OutsideWorld, preset: Preset) -> None:
    """Set up its store, and have its webhooks sent to the outside world."""
    change = {"settings": preset.settings, "reason": "Preset."}
    await edges.command("checkout", f"/stores/{preset.id}", change, method="PATCH")
    await connect(edges, preset.id)
    for id, product in preset.products.items():
        await edges.command("checkout", f"/stores/{preset.id}/products/{id}", product, method="PUT")
    await asyncio.gather(*(offer(edges, preset.id, sku) for sku in preset.catalogue.products.values()))
    await send_webhooks(edges, outside, preset.catalogue, HOOK)
