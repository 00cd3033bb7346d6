"""Codes that customers were told go to no other after a restore. On PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import orjson
import pytest
import sqlalchemy as sa
from aiokafka.admin import NewTopic
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.check.lost_key import NothingLost
from deploy.check.reclaim import StillWorking, Told, mark_told, reclaim, remembered
from services.fulfillment.domain.delivery import Delivery
from services.fulfillment.domain.operations import StoreCodes, TakeCode
from services.fulfillment.gateways.code_import import CodeImport
from services.fulfillment.gateways.code_vault import CodeVault
from services.fulfillment.gateways.codes import Codes
from services.fulfillment.storage import deliveries as deliveries_table
from shared.core import OperatorFault, codec
from shared.settings import KafkaSettings
from shared.shell.kafka.source import new_admin, new_consumer
from shared.shell.sealer import Sealer
from tests.integration.seals import Seals
from tests.integration.test_sealed_codes import POOL, clear, codes, done, engine, imports, take
from tests.unit.fulfillment.examples import paid

__all__ = ["codes", "engine", "imports"]


async def test_codes_that_customers_have_go_to_no_other_after_a_restore(
    engine: AsyncEngine, codes: Codes, imports: CodeImport
) -> None:
    await done(codes, StoreCodes(POOL, ("FREE", "TOLD")))
    await clear(engine, "OLD")
    told = [Told("o-1", "1", unit, code) for unit, code in enumerate(("TOLD", "OLD", "LATE", "OF-A-FILE"), 1)]
    vault = CodeVault(Seals())

    for expected in ((3, [("o-1", "1")]), (0, [])):
        async with engine.begin() as connection:
            await vault.unlock(connection)
            assert await mark_told(connection, vault, told, {"LATE": {POOL}}) == expected

    again = await imports.run(POOL, b"OF-A-FILE\nLATE\nOTHER\n")
    assert (again.added, again.known_lines) == (1, [1, 2])
    assert await done(codes, StoreCodes(POOL, ("OF-A-FILE",))) == StoreCodes.Done(0, 1)
    assert await take(codes, "o-2", 2) == ("FREE", "OTHER")


async def test_all_codes_that_an_item_was_ever_told_are_its_own_after_a_restore(
    engine: AsyncEngine, codes: Codes, imports: CodeImport
) -> None:
    """By hand, and granted again from the pool."""
    await done(codes, StoreCodes(POOL, ("A", "B", "C")))
    assert await take(codes, "o-1") == ("A",)
    told = [Told("o-1", "1", unit, code) for unit, code in enumerate(("BY-HAND", "A", "B", "ALSO-BY-HAND"), 1)]
    vault = CodeVault(Seals())

    async with engine.begin() as connection:
        await vault.unlock(connection)
        assert (await mark_told(connection, vault, told, {}))[0] == 1

    assert (await imports.run(POOL, b"BY-HAND\nALSO-BY-HAND\n")).known == 2
    assert await take(codes, "o-2") == ("C",)


async def test_a_data_key_that_is_lost_for_good_is_forgotten_and_no_code_goes_to_a_second_customer(
    engine: AsyncEngine,
) -> None:
    lost, vault = CodeVault(Sealer(["lost " * 8])), CodeVault(Sealer(["new " * 8]))
    before, after = (Codes(engine, timedelta(seconds=1), each) for each in (lost, vault))
    await done(before, StoreCodes(POOL, ("A", "B", "C")))
    assert await take(before, "o-1") == ("A",)
    stuck = await after.perform(TakeCode(POOL, "o-2", "1", 1), "k")
    assert isinstance(stuck, OperatorFault) and "orderbus reclaim-codes --forget-lost-key" in stuck.text

    async with engine.begin() as connection:
        done_so = await remembered(connection, vault, [Told("o-1", "1", 1, "A")], {})

    assert (done_so.removed, done_so.told, done_so.reclaimed, done_so.unknown) == ({POOL: 2}, 1, 1, [])
    result = await CodeImport(engine, vault).run(POOL, b"A\nB\nC\n")
    assert (result.added, result.known_lines) == (2, [1])
    assert await take(after, "o-1") == ("A",)
    assert await take(after, "o-2", 2) == ("B", "C")
    with pytest.raises(NothingLost):
        async with engine.begin() as connection:
            await remembered(connection, CodeVault(Sealer(["new " * 8])), [], {})


async def test_codes_that_the_topic_tells_no_more_are_remembered_from_deliveries_when_a_key_is_lost(
    engine: AsyncEngine,
) -> None:
    """Topics are kept for days."""
    lost, vault = CodeVault(Sealer(["lost " * 8])), CodeVault(Sealer(["new " * 8]))
    before = Codes(engine, timedelta(seconds=1), lost)
    await done(before, StoreCodes(POOL, ("A", "B", "C", "D", "E")))
    await keep(engine, "o-1", delivered(await take(before, "o-1")))
    await keep(engine, "o-2", delivered(await take(before, "o-2", 2)))
    assert await take(before, "o-3") == ("D",)

    with pytest.raises(ZeroDivisionError):
        async with engine.begin() as connection:
            await remembered(connection, vault, [], {})
            raise ZeroDivisionError
    async with engine.begin() as connection:
        done_so = await remembered(connection, CodeVault(Sealer(["new " * 8])), [], {})

    assert (done_so.removed, done_so.told, done_so.reclaimed) == ({POOL: 1}, 3, 3), "nothing was broken off half-way"
    assert done_so.unknown == [("o-3", "1")]
    result = await CodeImport(engine, vault).run(POOL, b"A\nB\nC\nE\n")
    assert (result.added, result.known_lines) == (1, [1, 2, 3])


def delivered(codes: tuple[str, ...]) -> Delivery:
    return paid("key").answer(TakeCode, TakeCode.Done(codes)).state


async def keep(engine: AsyncEngine, order: str, delivery: Delivery) -> None:
    values = {"key": order, "version": 1, "sequence": 1, "stage": "paid", "store": "acme", "held": 0}
    values |= dict.fromkeys(("parcels", "not_revoked", "not_configured", "tasks"), 0)
    values |= {"data": orjson.loads(codec.dump(delivery)), "changed_at": datetime.now(UTC)}
    async with engine.begin() as connection:
        await connection.execute(deliveries_table.insert().values(**values))


async def test_no_key_is_forgotten_while_workers_have_it(kafka_servers: str, engine: AsyncEngine) -> None:
    """Where the operator's settings have another key than those of the workers."""
    url, settings = engine.url.render_as_string(hide_password=False), KafkaSettings(bootstrap_servers=kafka_servers)
    await done(Codes(engine, timedelta(seconds=1), CodeVault(Sealer(["theirs " * 8]))), StoreCodes(POOL, ("A",)))
    topic = f"worked-on-{uuid4().hex}"
    admin = new_admin(settings, "test")
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    worker = new_consumer(settings, topic, group_id="fulfillment", client_id="fulfillment-1")
    await worker.start()
    try:
        await worker.getmany(timeout_ms=1000)
        with pytest.raises(StillWorking, match=r"fulfillment-1.*Nothing was changed"):
            await reclaim(settings, url, CodeVault(Sealer(["other " * 8])), forget_key=True)
    finally:
        await worker.stop()
    async with engine.begin() as connection:
        assert (await connection.execute(sa.text("select count(*) from sealed_codes"))).scalar_one() == 1
