"""Roles on a Discord server: given to the member whom the customer names, and removed when the order ends otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from services.fulfillment.domain.delivery import Item, ItemStatus
from services.fulfillment.domain.discord_connection import DiscordConnection
from services.fulfillment.domain.kinds.discord_role import Giver, GiveRole, RemoveRole, other_giver
from shared.contracts.checkout import OrderCancelled
from shared.contracts.connections import ConfigureDiscord
from shared.contracts.discord import DiscordRole
from shared.contracts.fulfillment import (
    ItemDelivered,
    ItemFailed,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    RetryDelivery,
)
from shared.contracts.values import Instructions
from tests.unit.fulfillment.examples import PAID, Shop, line, placed, refund
from tests.unit.fulfillment.test_settlement import published

VIP, OTHER_ROLE = "613425648685547544", "613425648685547549"
ADA = "80351110224678912"
ROLE = DiscordRole(connection="main", role=VIP, note="Welcome!")


def bought(action: DiscordRole = ROLE, discord: str = ADA) -> Shop:
    shop = Shop()
    shop.configure("vip", action)
    ordered = line("1", "vip").model_copy(update={"custom_fields": {"discord": discord}})
    return shop.given(placed(ordered), PAID)


def test_the_role_is_given_to_the_member_whom_the_customer_names() -> None:
    shop = bought(discord=f" {ADA} ")
    assert shop.requested == [GiveRole("acme", "o-1", "1", ROLE, ADA)]
    assert shop.operation(GiveRole).destination() == f"discord/acme/main/{VIP}"

    shop.answer(GiveRole, GiveRole.Done())

    instructions = Instructions(kind="manual", note="Welcome!")
    assert shop.published == [ItemDelivered(item="1", instructions=instructions, under_way=0)]


@pytest.mark.parametrize(
    "text", ["ada#1234", "123", "80351110224678912; drop", "８０３５１１１０２２４６７８９１２", "0" * 18, "1/../2" * 4]
)
def test_what_is_no_id_of_discord_fails_and_says_how_to_get_one(text: str) -> None:
    shop = bought(discord=text)

    assert shop.last.of(GiveRole) == []
    (failed,) = shop.all.of(ItemFailed)
    assert failed.code == "no_discord_id" and "Copy User ID" in failed.text and text[:40] in failed.text


def test_a_customer_who_gave_no_id_is_named_as_missing() -> None:
    assert (bought(discord=" ").item().code, bought(discord=" ").item().in_doubt) == ("field_missing", False)


def test_a_member_who_has_not_joined_fails_with_a_remedy_and_is_retried() -> None:
    shop = bought().answer(GiveRole, GiveRole.Failed("unknown_member", "Ask them to join it, then retry the order."))
    assert published(shop) == [ItemFailed]
    assert "Ask them to join" in shop.told()[-1].executions[0].text

    assert published(shop.hear(RetryDelivery())) == [ItemRetried]
    assert published(shop.answer(GiveRole, GiveRole.Done())) == [ItemDelivered]


def test_a_refund_removes_the_role() -> None:
    shop = bought().answer(GiveRole, GiveRole.Done())

    assert shop.hear(refund("1")).requested == [RemoveRole("acme", "o-1", "1", ROLE, ADA)]
    assert shop.answer(RemoveRole, RemoveRole.Done()).published == [ItemRevoked(item="1")]
    assert shop.item().text == ""


def test_a_role_that_another_order_gives_stays_and_staff_read_why() -> None:
    shop = bought().answer(GiveRole, GiveRole.Done()).given(refund("1"))

    assert shop.answer(RemoveRole, RemoveRole.Done("o-2")).published == [ItemRevoked(item="1")]

    assert shop.told()[-1].executions[0].text == "The member keeps the role: order o-2 gives it as well."


def test_a_role_that_is_being_given_is_removed_once_it_is() -> None:
    shop = bought().given(OrderCancelled())
    assert shop.answer(GiveRole, GiveRole.Done()).published == []
    assert shop.answer(RemoveRole, RemoveRole.Done()).published == [ItemRevoked(item="1")]


def test_a_role_that_could_not_be_removed_is_told_and_retried() -> None:
    shop = bought().answer(GiveRole, GiveRole.Done()).given(refund("1"))
    shop.answer(RemoveRole, RemoveRole.Failed("missing_permission", "Move the bot's role above."))
    assert published(shop) == [ItemRevocationFailed]

    shop.hear(RetryDelivery(items=("1",)))
    assert shop.answer(RemoveRole, RemoveRole.Done()).published == [ItemRevoked(item="1")]


def test_a_role_that_was_corrected_is_removed_where_it_was_given_after_all() -> None:
    shop = bought()
    shop.configure("vip", ROLE.model_copy(update={"role": OTHER_ROLE}))
    shop.hear(RetryDelivery(latest=True))
    first, second = (one for _, one in shop.open if isinstance(one, GiveRole))

    assert published(shop.answer(second, GiveRole.Done())) == [ItemDelivered]
    assert [one.action.role for one in shop.answer(first, GiveRole.Done()).last.of(RemoveRole)] == [VIP]


def test_a_role_that_another_connection_gives_from_now_on_is_not_removed_by_the_former_one() -> None:
    shop = bought()
    shop.configure("vip", ROLE.model_copy(update={"connection": "second"}))
    shop.hear(RetryDelivery(latest=True))
    first, second = (one for _, one in shop.open if isinstance(one, GiveRole))

    assert published(shop.answer(second, GiveRole.Done())) == [ItemDelivered]
    assert shop.answer(first, GiveRole.Done()).last.of(RemoveRole) == []


REMOVAL = RemoveRole("acme", "o-1", "1", ROLE, ADA)


@pytest.mark.parametrize(
    ("order", "item", "kept"),
    [
        ("o-1", {"id": "1", "status": ItemStatus.REVOKING}, None),
        ("o-2", {"id": "1", "status": ItemStatus.DELIVERED}, Giver("o-2", delivered=True)),
        ("o-2", {"id": "1", "status": ItemStatus.IN_PROGRESS}, Giver("o-2", delivered=False)),
        ("o-1", {"id": "2", "status": ItemStatus.DELIVERED}, Giver("o-1", delivered=True)),
        ("o-2", {"id": "1", "status": ItemStatus.FAILED}, None),
        ("o-2", {"id": "1", "status": ItemStatus.STOPPING}, None),
        ("o-2", {"id": "1", "status": ItemStatus.REVOKED}, None),
        (
            "o-2",
            {"id": "1", "status": ItemStatus.DELIVERED, "action": ROLE.model_copy(update={"role": OTHER_ROLE})},
            None,
        ),
        ("o-2", {"id": "1", "status": ItemStatus.DELIVERED, "action": None}, None),
        (
            "o-2",
            {"id": "1", "status": ItemStatus.DELIVERED, "action": ROLE.model_copy(update={"connection": "second"})},
            Giver("o-2", delivered=True),
        ),
    ],
)
def test_a_role_stays_while_another_execution_gives_it(order: str, item: dict[str, Any], kept: Giver | None) -> None:
    other = Item(**{"sku": "vip", "product": "VIP", "quantity": 1, "action": ROLE, **item})

    assert other_giver(REMOVAL, [(order, other)]) == kept


def test_what_is_delivered_counts_before_what_is_in_progress() -> None:
    item = Item("1", "vip", "VIP", 1, action=ROLE, status=ItemStatus.IN_PROGRESS)

    found = other_giver(REMOVAL, [("o-2", item), ("o-3", replace(item, status=ItemStatus.DELIVERED))])

    assert found == Giver("o-3", delivered=True)


def test_a_connection_names_the_server_and_the_secret_with_the_token() -> None:
    shop = Shop().hear(ConfigureDiscord(guild=VIP, token="bot"), "acme/discord/main")
    assert shop.row(DiscordConnection, "acme/discord/main") == DiscordConnection(VIP, "bot")
    for key in ("acme/main", "acme/discord/", "discord/main", "acme/discord/a/b"):
        assert shop.refuses(ConfigureDiscord(guild=VIP, token="bot"), key).code == "wrong_key"


def test_ids_are_checked_when_they_are_configured() -> None:
    for role in ("VIP", "1", VIP + "/x", "٦١٣٤٢٥٦٤٨٦٨٥٥٤٧٥٤٤"):
        with pytest.raises(ValidationError):
            DiscordRole(connection="main", role=role)
