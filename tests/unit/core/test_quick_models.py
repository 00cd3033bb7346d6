"""Records that are made the quick way are those that their classes make."""

from __future__ import annotations

import pytest

from services.fulfillment.domain.operations import TakeCode
from shared.contracts.checkout import StatusExtra, StatusItem
from shared.contracts.envelope import encode
from shared.contracts.fulfillment import DeliveryStatusRecord
from shared.contracts.values import DeliveryStatus, OrderItem
from shared.core.codec import WrongType
from shared.core.quick_models import build, extend
from tests.unit.checkout import examples as checkout
from tests.unit.fulfillment import examples as fulfillment

ITEM = OrderItem(item="1", sku="a", product="A", quantity=1, unit_price=5, line_total=5, purchased=5)


def test_a_part_is_equal_to_one_that_its_class_makes() -> None:
    fields = {"id": "order", "name": "What comes along"}
    built = build(StatusExtra, delivery=DeliveryStatus.PENDING, **fields)
    made = StatusExtra(delivery=DeliveryStatus.PENDING, **fields)
    assert built == made
    assert built.model_dump_json() == made.model_dump_json()
    assert built.model_copy(update={"name": "B"}) == made.model_copy(update={"name": "B"})


def test_a_part_with_the_fields_of_another_and_more() -> None:
    extended = extend(StatusItem, ITEM, delivery=DeliveryStatus.PENDING, refunded=2)
    made = StatusItem(**ITEM.__dict__, delivery=DeliveryStatus.PENDING, refunded=2)
    assert extended == made
    assert extended.model_dump_json() == made.model_dump_json()
    assert extended.model_fields_set == {*ITEM.__dict__, "delivery", "refunded"}
    assert not hasattr(ITEM, "delivery")


def test_a_changed_copy_leaves_the_other_records_of_its_class_as_they_are() -> None:
    first, second = (build(StatusExtra, id=id, name="A", delivery=DeliveryStatus.PENDING) for id in ("offer", "order"))
    before = set(second.model_fields_set)
    copied = first.model_copy(update={"name": "B", "something": "else"}, deep=True)
    assert "something" in copied.model_fields_set
    assert first.model_fields_set == second.model_fields_set == before == set(StatusExtra.model_fields)


def test_a_value_of_the_wrong_type_is_found_when_the_record_is_encoded() -> None:
    record = checkout.paid_order().record()
    wrong = build(type(record), **{**record.__dict__, "total": "9.99"})
    with pytest.raises(WrongType):
        encode(wrong)


def test_what_services_tell_of_an_order_is_what_readers_read() -> None:
    order = checkout.paid_order("course", "game", tax=700).hear(checkout.delivered("1"), actor="system").record()
    assert type(order).model_validate_json(encode(order), extra="forbid") == order
    delivery = fulfillment.paid("key").answer(TakeCode, TakeCode.Done(("AAA",))).told()[-1]
    assert DeliveryStatusRecord.model_validate_json(encode(delivery), extra="forbid") == delivery
