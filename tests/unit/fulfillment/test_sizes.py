"""Orders with very many items and executions stay within a message."""

from __future__ import annotations

from time import process_time

from services.fulfillment.domain.delivery import Delivery
from services.fulfillment.domain.operations import GrantAccess, SignDownload, TakeCode
from shared.contracts.delivery_work import (
    AttachDelivery,
    DeliveryResent,
    MarkDeliveredDelivery,
    ResendDelivery,
)
from shared.contracts.envelope import encode
from shared.contracts.fulfillment import (
    ConfigureExtras,
    ConfigureOffer,
    ConfigureProduct,
    Download,
    ManualTask,
    RedemptionCode,
    Shipment,
    ShipOrder,
)
from shared.contracts.rcon import RconCommands
from shared.contracts.values import OrderItem
from shared.core import codec
from tests.unit.fulfillment.examples import COURSE, LINK, PAID, Shop, line, placed

MOST_BYTES = 900_000
"""Kafka's limit of a record is 1 MB."""
ITEMS, EXECUTIONS = 200, 5


def many() -> Shop:
    shop, actions = Shop(), tuple(Download(file=f"{n}.pdf") for n in range(EXECUTIONS - 2))
    task = ManualTask(text="x" * 1900)
    shop.hear(ConfigureProduct(action=Shipment(), further=(task, *actions)), "acme/bundle")
    return shop.given(placed(*(line(str(number), "bundle") for number in range(1, ITEMS + 1))), PAID)


def test_an_order_of_200_items_with_5_executions_each_fits_into_messages() -> None:
    shop = many()
    assert len(shop.state.items) == ITEMS * EXECUTIONS
    for command in (
        ShipOrder(carrier="DHL", tracking="T"),
        MarkDeliveredDelivery(executions=tuple(f"{n}/2" for n in range(1, 201)), reason="x"),
    ):
        shop.hear(command)
    for _, sign in [*shop.open][:20]:
        shop.answer(sign, SignDownload.Done(LINK))
    for number in range(1, 61):
        shop.hear(AttachDelivery(item=str(number), note="字" * 2000, reason="x"))
    shop.hear(ResendDelivery(reason="x"))

    assert max(len(encode(event)) for event in shop.all.published) < MOST_BYTES


def commands(count: int, of: int) -> RconCommands:
    several = tuple(f"say {'x' * (of - 4)}" for _ in range(count))
    return RconCommands(server="smp", commands=several, revoke_commands=several)


def test_actions_that_would_make_orders_too_large_are_refused_and_each_is_named() -> None:
    shop, small = Shop(), ManualTask(text="Engrave it.")
    for command, key in (
        (ConfigureProduct(action=commands(20, 500), further=(small, commands(20, 300))), "acme/ranks"),
        (ConfigureOffer(name="Ranks", actions=(commands(20, 500), small, commands(20, 300))), "acme/offer/ranks"),
        (ConfigureExtras(name="Ranks", actions=(commands(20, 500), small, commands(20, 300))), "acme/order/every"),
    ):
        refused = shop.refuses(command, key)
        assert refused.code == "too_large"
        assert [problem.field for problem in refused.problems] == ["actions.1", "actions.3"]
        assert "at most 30,000 are allowed" in refused.text


def test_the_largest_order_is_decided_about_in_less_than_a_second() -> None:
    shop = Shop()
    largest = commands(20, 140)
    shop.hear(ConfigureProduct(action=largest, further=(largest,) * (EXECUTIONS - 1)), "acme/bundle")
    shop.hear(placed(*(line(str(n), "bundle") for n in range(1, ITEMS + 1))))

    before = process_time()
    shop.hear(PAID)  # it is decided twice here, and what is requested is encoded and read again
    state = codec.load(Delivery, codec.dump(shop.state))
    took = process_time() - before

    assert len(state.items) == ITEMS * EXECUTIONS
    assert len(codec.dump(state)) < 7_000_000
    assert took < 2, took


def longest_names() -> tuple[OrderItem, ...]:
    return tuple(line(str(n), "bundle").model_copy(update={"product": "字" * 200}) for n in range(1, ITEMS + 1))


def test_the_longest_names_texts_and_tracking_numbers_fit_into_a_status_record() -> None:
    for action in (ManualTask(text="字" * 1900), Shipment()):
        shop = Shop()
        shop.hear(ConfigureProduct(action=action, further=(action,) * (EXECUTIONS - 1)), "acme/bundle")
        shop.given(placed(*longest_names()), PAID)
        shop.offer(ShipOrder(carrier="字" * 200, tracking="字" * 200))
        assert max(len(encode(record)) for record in shop.told()) < MOST_BYTES


def test_few_executions_with_long_histories_fit_into_a_status_record() -> None:
    shop = Shop()
    shop.hear(ConfigureProduct(action=COURSE), "acme/bundle")
    shop.given(placed(*(line(str(n), "bundle") for n in range(1, 51))), PAID)
    for _, grant in [*shop.open]:
        shop.answer(grant, GrantAccess.Failed("forbidden", "字" * 2000), after=["字" * 2000] * 5)
    assert max(len(encode(record)) for record in shop.told()) < MOST_BYTES
    assert shop.told()[-1].executions[0].text


def test_many_long_codes_are_sent_again_in_several_messages() -> None:
    shop, codes = Shop(), tuple(f"{'x' * 196}{n:03}" for n in range(200))
    shop.hear(ConfigureProduct(action=RedemptionCode(pool="keys", per_unit=20)), "acme/key")
    shop.given(placed(*(line(str(n), "key", 10) for n in range(1, 51))), PAID)
    for _, take in [*shop.open]:
        shop.answer(take, TakeCode.Done(codes))
    shop.hear(ResendDelivery(reason="x"))
    assert sum(len(sent.items) for sent in shop.last.of(DeliveryResent)) == 50
    assert max(len(encode(event)) for event in shop.published) < MOST_BYTES
