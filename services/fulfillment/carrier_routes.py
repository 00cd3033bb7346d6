"""Pages of carriers by HTTP: set, removed and listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from services.fulfillment.domain.carriers import PAGES, CarrierPage, carriers_key
from services.fulfillment.storage import Queries
from shared.contracts.carriers import PLACEHOLDER
from shared.contracts.connections import ConfigureCarrier
from shared.shell.http.access import IN_PATH, FindStore, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import json_response
from shared.shell.http.web import READ_REFUSED, add_commands
from shared.shell.ports.http_api import HttpApi

PATH = "/stores/{store}/carriers"


@dataclass(frozen=True, slots=True)
class ShownCarriers:
    """The pages on which customers follow parcels."""

    carriers: list[CarrierPage]
    """The store's own."""
    known: list[CarrierPage]
    """What counts for other stores, too, where a store has no page of its own."""


CARRIERS = Declaration(
    "On which pages customers follow the parcels of which carrier",
    (DeclaredResponse(ShownCarriers),),
    refused=READ_REFUSED,
)


def add_carrier_routes(application: web.Application, api: HttpApi, store_of: FindStore) -> None:
    queries = Queries(api.engine)

    async def listed(request: web.Request) -> web.StreamResponse:
        own = await queries.carriers(request.match_info["store"])
        known = [CarrierPage(carrier, page.replace("{}", PLACEHOLDER)) for carrier, page in PAGES.items()]
        return json_response(ShownCarriers(list(own.pages), known))

    add_commands(application, api, [("PUT", PATH, ConfigureCarrier)], store_of, key_of=_key)
    add_route(application, "GET", PATH, listed, "carrier.read", IN_PATH, CARRIERS)


def _key(path: Mapping[str, str]) -> str:
    return carriers_key(path["store"])
