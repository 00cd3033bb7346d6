"""Pages of carriers: a store's own, and what no tracking number can do to them."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.fulfillment.domain.carriers import PAGES, CarrierPage, CarrierPages, page_of
from shared.contracts.connections import ConfigureCarrier
from shared.contracts.fulfillment import ItemDelivered, ShipOrder
from tests.unit.fulfillment.examples import Shop, paid

KEY = "acme/carriers"
PAGE = "https://track.river.example/parcels/{tracking}/where?lang=en"
RIVER = ConfigureCarrier(carrier="River Post", page=PAGE)


def link_of(shop: Shop, carrier: str, tracking: str) -> str | None:
    shop.hear(ShipOrder(carrier=carrier, tracking=tracking))
    (delivered,) = shop.last.of(ItemDelivered)
    return delivered.instructions.link


def test_customers_follow_a_parcel_on_the_stores_page_of_its_carrier() -> None:
    shop = paid("poster").hear(RIVER, KEY)
    assert link_of(shop, "river  POST", "R 1/2") == "https://track.river.example/parcels/R%201%2F2/where?lang=en"


def test_the_stores_page_comes_before_the_known_one_until_it_is_removed() -> None:
    own = ConfigureCarrier(carrier="dhl", page="https://dhl.acme.example/?n={tracking}")
    assert link_of(paid("poster").hear(own, KEY), "DHL", "T1") == "https://dhl.acme.example/?n=T1"
    removed = paid("poster").hear(own, KEY).hear(ConfigureCarrier(carrier="DHL"), KEY)
    assert link_of(removed, "DHL", "T1") == "https://www.dhl.com/global-en/home/tracking.html?tracking-id=T1"


def test_a_carrier_has_one_page_and_another_stores_are_apart() -> None:
    shop = Shop().hear(RIVER, KEY).hear(ConfigureCarrier(carrier="RIVER post", page=f"{PAGE}&v=2"), KEY)
    assert shop.row(CarrierPages, KEY) == CarrierPages((CarrierPage("RIVER post", f"{PAGE}&v=2"),))
    assert link_of(paid("poster").hear(RIVER, "other/carriers"), "River Post", "1") is None
    assert shop.refuses(RIVER, "acme/carrier").code == "wrong_key"


def test_a_store_has_so_many_carriers() -> None:
    shop = Shop()
    for number in range(200):
        shop.hear(ConfigureCarrier(carrier=f"Carrier {number}", page=PAGE), KEY)
    assert shop.refuses(RIVER, KEY).code == "too_many"
    shop.hear(ConfigureCarrier(carrier="Carrier 7", page=f"{PAGE}&v=2"), KEY)


@pytest.mark.parametrize(
    ("page", "problems"),
    [
        ("http://x.example/{tracking}", ["does not begin with https://"]),
        ("https://x.example/", ["has to have {tracking} once"]),
        ("https://x.example/{tracking}/{tracking}", ["has to have {tracking} once"]),
        ("https://{tracking}.x.example/", ["may have {tracking} behind its host only"]),
        ("https://x.example:{tracking}/", ["may have {tracking} behind its host only", "host or port"]),
        ("https://{tracking}@x.example/", ["behind its host only", "credentials"]),
        ("https://x.example/{tracking}{}", ["braces"]),
        ("https://x.example/{Tracking}", ["once", "braces"]),
        ("https://me:pw@x.example/{tracking}", ["credentials"]),
        ("https://localhost/{tracking}", ["is not on the internet"]),
        ("https://10.0.0.7/{tracking}", ["is not on the internet"]),
        ("https://x.example\\@y.example/{tracking}", ["characters that no URL has"]),
        ("https://x.example/a b{tracking}", ["characters that no URL has"]),
        ("https:///{tracking}", ["is not a complete"]),
        ("ftp://me@x.example/{a}", ["https://", "once", "braces", "credentials", "is not a complete"]),
        ("https://x.example/" + "a" * 1000 + "{tracking}", ["1000"]),
    ],
)
def test_a_page_that_could_lead_elsewhere_is_refused_with_all_that_is_wrong(page: str, problems: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        ConfigureCarrier(carrier="River Post", page=page)
    assert [part for part in problems if part not in str(refused.value)] == []


@pytest.mark.parametrize("name", ["", " ", "a\nb"])
def test_a_carrier_has_a_name(name: str) -> None:
    with pytest.raises(ValidationError):
        ConfigureCarrier(carrier=name, page=PAGE)


@given(st.text(max_size=200))
@example("..")
@example("../../admin")
@example("%2e%2e")
@example("x@evil.example/?#{tracking}{}")
def test_no_tracking_number_changes_where_a_page_is(tracking: str) -> None:
    own = CarrierPages(
        tuple(
            CarrierPage(place, f"https://x.example{place}")
            for place in ("/a/{tracking}/b", "/a/.{tracking}", "/a?n={tracking}&l=en", "/a#/n/{tracking}")
        )
    )
    for carrier in (*(one.carrier for one in own.pages), *PAGES):
        link, usual = page_of(carrier, tracking, own), page_of(carrier, "x", own)
        assert usual
        if link is None:
            continue
        was, now = urlsplit(usual), urlsplit(link)
        assert (now.scheme, now.netloc) == (was.scheme, was.netloc)
        assert link.count("/") == usual.count("/")
        assert link.count("&") == usual.count("&")
        assert len(now.fragment.split("#")) == len(was.fragment.split("#"))
        assert not {".", ".."} & set(now.path.split("/"))


def test_a_number_of_which_no_link_can_be_made_has_none() -> None:
    assert link_of(paid("poster"), "DHL", "\N{GRINNING FACE}1" * 100) == page_of("DHL", "\N{GRINNING FACE}1" * 100)
    assert page_of("DHL", "\N{GRINNING FACE}1" * 200) is None
    assert page_of("DHL", " .. ") is None
