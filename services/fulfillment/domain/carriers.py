"""Public pages on which customers follow parcels, by the carrier's name: those of the store, and well-known ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.fulfillment.domain.keys import row_key
from shared.contracts.carriers import PLACEHOLDER
from shared.contracts.connections import ConfigureCarrier
from shared.core import Context, Core, Decision, Refused
from shared.core.fast_dataclasses import replace

PAGES: Mapping[str, str] = {
    "australia post": "https://auspost.com.au/mypost/track/#/details/{}",
    "canada post": "https://www.canadapost-postescanada.ca/track-reperage/en#/search?searchFor={}",
    "colissimo": "https://www.laposte.fr/outils/suivre-vos-envois?code={}",
    "dhl": "https://www.dhl.com/global-en/home/tracking.html?tracking-id={}",
    "dpd": "https://tracking.dpd.de/status/en_US/parcel/{}",
    "evri": "https://www.evri.com/track/parcel/{}",
    "fedex": "https://www.fedex.com/fedextrack/?trknbr={}",
    "gls": "https://gls-group.eu/EU/en/parcel-tracking?match={}",
    "la poste": "https://www.laposte.fr/outils/suivre-vos-envois?code={}",
    "royal mail": "https://www.royalmail.com/track-your-item#/tracking-results/{}",
    "ups": "https://www.ups.com/track?tracknum={}",
    "usps": "https://tools.usps.com/go/TrackConfirmAction?tLabels={}",
}
"""`{}` stands for the tracking number. Other carriers' pages are the store's, or given with the parcel."""
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
LONGEST_LINK = 2000
"""Of `Instructions`: a longer link is none."""
MOST_CARRIERS = 200
"""Of one store."""


@dataclass(frozen=True, slots=True)
class CarrierPage:
    """`carrier` as staff wrote it when they set the page, in which `{tracking}` stands for the tracking number."""

    carrier: str
    """The carrier's name, as staff wrote it."""
    page: str
    """The page's URL, in which `{tracking}` stands for the tracking number."""


@dataclass(frozen=True, slots=True)
class CarrierPages:
    """A store's own. Key: `<store>/carriers`."""

    pages: tuple[CarrierPage, ...] = ()
    """By carrier."""

    def page_of(self, carrier: str) -> str | None:
        return next((one.page for one in self.pages if _plain(one.carrier) == _plain(carrier)), None)


carriers = Core(CarrierPages)


def carriers_key(store: str) -> str:
    return row_key(store, "carriers")


@carriers.begins(ConfigureCarrier)
def configured(
    known: CarrierPages | None, command: ConfigureCarrier, context: Context
) -> Decision[CarrierPages] | Refused:
    store, _, rest = context.key.partition("/")
    if not store or rest != "carriers":
        return Refused("wrong_key", "The key must be <store>/carriers.")
    pages = [one for one in (known.pages if known else ()) if _plain(one.carrier) != _plain(command.carrier)]
    if command.page:
        pages.append(CarrierPage(command.carrier, command.page))
    if len(pages) > MOST_CARRIERS:
        return Refused("too_many", f"A store has pages of at most {MOST_CARRIERS} carriers.")
    return Decision(replace(known or CarrierPages(), pages=tuple(sorted(pages, key=lambda one: _plain(one.carrier)))))


def page_of(carrier: str, tracking: str, own: CarrierPages | None = None) -> str | None:
    """The link to a parcel: by the page of the store, or else by the one that is known. None where there is no page,
    and for a tracking number without letters and digits: `..` would lead elsewhere."""
    number = tracking.strip()
    page = own.page_of(carrier) if own else None
    known = PAGES.get(_plain(carrier))
    page = page or (known.replace("{}", PLACEHOLDER) if known else None)
    if not page or not any(char.isalnum() for char in number):
        return None
    link = page.replace(PLACEHOLDER, _quoted(number))
    return link if len(link) <= LONGEST_LINK else None


def _plain(carrier: str) -> str:
    return " ".join(carrier.casefold().split())


def _quoted(text: str) -> str:
    """As a part of a URL: RFC 3986 (2.3)."""
    return "".join(chr(byte) if chr(byte) in UNRESERVED else f"%{byte:02X}" for byte in text.encode())
