"""The status record of a store: told with each change, and again where an older build told none."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from services.checkout.domain.store import Store, stores
from services.checkout.domain.store_change import StoreUntold, told_again
from services.checkout.domain.store_settings import last_record, settings_of
from shared.contracts.envelope import decode, encode
from shared.contracts.store_settings import ChangeStore, PaymentSettings, StoreSettings
from shared.contracts.store_status import StoreStatusRecord
from shared.core import Context, Decision, Scenario
from shared.core.epochs import SPAN
from shared.core.fast_dataclasses import replace
from tests.unit.checkout.examples import START, store

FEWER_TRIES = ChangeStore(settings=StoreSettings(payment=PaymentSettings(tries=3)))


def shop() -> Scenario[Store]:
    return Scenario(stores, key="northwind", at=START, pace=timedelta(minutes=1)).hear(store())


def records(scenario: Scenario[Store]) -> list[StoreStatusRecord]:
    return scenario.all.of(StoreStatusRecord)


def test_each_change_tells_all_settings_as_staff_read_them() -> None:
    changed = shop().hear(FEWER_TRIES)
    first, second = records(changed)
    assert (first.revision, second.revision, second.payment.tries) == (1, 2, 3)
    assert second == last_record(changed.state)
    told = second.model_dump(mode="json", exclude={"revision", "updated_at"})
    assert told == settings_of(changed.state).model_dump(mode="json")


def test_the_record_and_a_change_have_the_same_groups() -> None:
    groups = StoreSettings.model_fields.keys()
    assert StoreStatusRecord.model_fields.keys() == {"revision", "updated_at", *groups}


def test_what_changes_nothing_tells_nothing() -> None:
    assert len(records(shop().hear(store()))) == 1


def test_a_store_of_an_older_build_is_told_on_request() -> None:
    told = shop()
    older = replace(told.state, revision=0, updated_at=None)
    assert last_record(older) is None
    again = Scenario(stores, key="northwind", at=START)
    again.rows = {**told.rows, **{ref: older for ref in told.rows if ref.kind is Store}}
    again.hear(StoreUntold())
    (record,) = records(again)
    assert (record.revision, record.updated_at) == (1, again.state.updated_at)


def test_after_a_restore_the_revision_is_above_all_that_were_told() -> None:
    context = Context(START, "northwind", UUID(int=1), epoch=1)
    decision = told_again(shop().state, StoreUntold(), context)
    assert isinstance(decision, Decision)
    assert [*decision.events] == [last_record(replace(shop().state, revision=SPAN + 1, updated_at=START))]


def test_a_store_that_is_gone_is_not_told() -> None:
    assert not records(Scenario(stores, key="nowhere").hear(StoreUntold()))


def test_a_reader_ignores_settings_that_it_does_not_know() -> None:
    (record,) = records(shop())
    body = encode(record).replace(b'"approval":"none"', b'"approval":"by_oracle","oracle":"delphi"')
    read = decode(StoreStatusRecord, body)
    assert isinstance(read, StoreStatusRecord)
    assert read.orders.approval == "by_oracle"
