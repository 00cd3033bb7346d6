"""The public pages on which customers follow parcels, by the carrier's name."""

from __future__ import annotations

from collections.abc import Mapping

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
"""`{}` stands for the tracking number. Other carriers' pages are given with the parcel."""
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def page_of(carrier: str, tracking: str) -> str | None:
    page = PAGES.get(" ".join(carrier.casefold().split()))
    return page.format(_quoted(tracking.strip())) if page and tracking.strip() else None


def _quoted(text: str) -> str:
    """As a part of a URL: RFC 3986 (2.3)."""
    return "".join(chr(byte) if chr(byte) in UNRESERVED else f"%{byte:02X}" for byte in text.encode())
