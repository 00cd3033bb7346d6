"""The command line, as staff or a script use it, against the running orderbus that the settings name."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.client.storefront import uuid7
from deploy.devstack.stack import Stack
from shared.contracts.envelope import encode
from shared.contracts.storefront import CheckoutOpened
from tests.e2e.conversation import World, eventually


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERBUS_")}
        self._environment |= environment

    async def __call__(self, *arguments: str, given: str = "") -> Said:
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "deploy.cli.main", *arguments]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment
        )
        out, err = await asyncio.wait_for(process.communicate(given.encode()), 60)
        assert "Traceback" not in err.decode()
        return Said(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
def orderbus(world: World, stack: Stack) -> CommandLine:
    return CommandLine(stack.environment())


async def test_an_order_is_published_followed_and_refunded(orderbus: CommandLine, world: World, tmp_path: Path) -> None:
    customer, order = world.customer("Ada Lovelace"), str(uuid7())
    opened = CheckoutOpened(store=world.store, currency="EUR")
    messages = [opened, customer.checkout("atlas", "navigation")]
    file = tmp_path / "order.jsonl"
    lines = [{"type": it.type, "order": order, "data": json.loads(encode(it))} for it in messages]
    file.write_text("\n".join(json.dumps(line) for line in lines))

    published = await orderbus("publish", str(file), "--json")
    assert [row["order"] for row in published.json["published"]] == [order, order]
    shown = await eventually(
        lambda: orderbus("order", order, "--json"), lambda it: it.code == 0 and it.json["status"] == "completed", "it"
    )
    number, total = shown.json["number"], shown.json["purchased"]
    assert [item["status"] for item in shown.json["deliveries"]["items"]] == ["delivered", "delivered"]
    again = await orderbus("publish", str(file), "--follow")
    assert again.code == 1
    assert f"Refused: checkout.submitted for {order} (already_submitted)" in again.err
    text = (await orderbus("order", number)).out
    assert "Timeline" in text
    assert "visa ending 4242" in text
    listed = await orderbus("orders", "--status", "completed", "--json")
    assert number in [row["number"] for row in listed.json["orders"]]

    assert (await orderbus("refund", number, "--amount", "5.00", "--json")).json["accepted"]
    too_much = await orderbus("refund", number, "--amount", f"{total / 100:.2f}")
    assert (too_much.code, "too_much" in too_much.err) == (1, True)
    previewed = await orderbus("refund", number, "--item", "1=1.00", "--dry-run", "--json")
    assert (previewed.json["amount"], previewed.json["refundable_before"]) == (100, total - 500)
    by_transfer = ("--record-only", "--note", "By bank transfer.", "--reference", "SEPA-17")
    assert (await orderbus("refund", number, "--item", "1=1.00", *by_transfer)).code == 0
    await eventually(lambda: orderbus("order", number), lambda it: "recorded: By bank transfer.  SEPA-17" in it.out, "")
    assert (await orderbus("refund", number)).code == 0
    await eventually(lambda: orderbus("order", number, "--json"), lambda it: it.json["status"] == "refunded", "refund")
    owed = await orderbus("payments", "owed", "--store", world.store, "--json")
    assert number not in [row["number"] for row in owed.json["owed"]]


async def test_lost_mails_are_listed_and_sent_again(orderbus: CommandLine, world: World) -> None:
    await world.outside.inject("smtp", answer=554)
    order = await world.customer("Ada Lovelace").buys("tides")
    await order.becomes("completed")

    async def lost() -> list[dict[str, Any]]:
        rows = (await orderbus("lost", world.store, "--since", "10m", "--json")).json["lost"]
        return [row for row in rows if row["order"] == order.id]

    rows = await eventually(lost, lambda seen: len(seen) == 3, "three lost mails")
    assert {row["code"] for row in rows} == {"smtp_554"}
    await world.outside.clear_fault("smtp")
    assert "failed" in (await orderbus("order", order.id)).out
    one = rows[0]["message"]
    assert (await orderbus("settle", "mail", order.id, "sent", "--message", one, "--reason", "Seen.")).code == 0
    assert (await orderbus("resend", "--store", world.store, "--since", "10m")).code == 0
    await eventually(lost, lambda seen: not seen, "all sent")
    for what in ("email.settled", "email.resent"):
        assert (await world.says(order, what, "."))["actor"] == "staff"

    nothing, unknown, period = await asyncio.gather(
        orderbus("replay", order.id), orderbus("settle", "mail", order.id, "sent", "--reason", "x"), orderbus("resend")
    )
    assert (nothing.code, "nothing_to_replay" in nothing.err) == (1, True)
    assert (unknown.code, "no emails with an unknown outcome" in unknown.err) == (1, True)
    assert (period.code, "Name an order" in period.err) == (64, True)


async def test_nothing_is_published_unless_all_is_right_and_every_problem_is_named(orderbus: CommandLine) -> None:
    lines = [
        {"type": "checkout.opened", "order": "o-1", "data": {"store": "lighthouse", "currency": "EURO", "colour": 1}},
        {"type": "order.cancel", "order": "no id!", "data": {}},
    ]
    given = "\n".join([*(json.dumps(line) for line in lines), "{"])

    said = await orderbus("publish", "-", given=given)

    assert said.code == 64
    for part in (
        "line 1: data.currency",
        "line 1: data.colour",
        "line 2: type",
        "line 2: order",
        "line 3: is not JSON",
    ):
        assert part in said.err
    assert said.out == ""


async def test_a_store_or_sku_that_checkout_does_not_know_is_named_when_its_checkout_is_published(
    orderbus: CommandLine, world: World
) -> None:
    one = {"type": "checkout.opened", "order": str(uuid7()), "data": {"store": "nowhere", "currency": "EUR"}}
    checkout = json.loads(encode(world.customer().checkout("tides")))
    checkout["items"][0]["sku"] = "tide-charts"
    other = {"type": "checkout.submitted", "order": str(uuid7()), "data": checkout}

    said = await orderbus("publish", "-", given=json.dumps([one, other]))

    assert said.code == 0
    assert "Warning: checkout knows no store nowhere, and refuses its checkouts (unknown_store)" in said.err
    assert f"Warning: store {world.store} has no SKU tide-charts" in said.err
    assert "docs/first-store.md" in said.err


async def test_what_cannot_be_asked_after_publishing_is_said(world: World, stack: Stack) -> None:
    orderbus = CommandLine(stack.environment() | {"ORDERBUS_CHECKOUT__INTERNAL_URL": "http://127.0.0.1:9"})
    one = {"type": "checkout.opened", "order": str(uuid7()), "data": {"store": world.store, "currency": "EUR"}}

    said = await orderbus("publish", "-", "--json", given=json.dumps(one))

    assert (said.code, len(said.json["published"])) == (0, 1)
    assert "checkout could not be asked whether it knows the stores" in said.json["warnings"][0]


async def test_watch_shows_status_records_as_lines_of_json(orderbus: CommandLine, world: World) -> None:
    order = await world.customer().buys("tides")
    await order.becomes("completed")

    said = await orderbus("watch", "--all", "--count", "3", "--json")

    assert len([json.loads(line)["status"] for line in said.out.splitlines()]) == 3


async def test_watch_shows_only_what_happens_from_now_on(orderbus: CommandLine, world: World) -> None:
    order = await world.customer().buys("tides")
    await order.becomes("completed")
    started = datetime.now(UTC)

    watching = asyncio.create_task(orderbus("watch", "--count", "3", "--json"))
    while not watching.done():
        await world.customer().buys("tides")
        await asyncio.sleep(1)

    records = [json.loads(line) for line in (await watching).out.splitlines()]
    assert [record for record in records if datetime.fromisoformat(record["updated_at"]) < started] == []


async def test_the_sample_shop_can_be_set_up_again(orderbus: CommandLine) -> None:
    shop = await orderbus("shop", "--json")
    assert (shop.code, "lighthouse" in shop.json["stores"]) == (0, True)


async def test_doctor_and_check_find_everything_well(orderbus: CommandLine, world: World) -> None:
    await eventually(lambda: world.edges.ready("monitor"), lambda missing: not missing, "a monitor that has read all")
    doctor, check = await orderbus("doctor", "--json"), await orderbus("check", "--json")

    assert doctor.json["ok"], doctor.out
    assert check.json["ok"], check.out
    assert check.code == (2 if check.json["attention"] else 0)


async def test_garbage_is_parked_shown_and_skipped(orderbus: CommandLine, world: World) -> None:
    key = str(uuid7())
    await world.shop.storefront.publish_raw("orders.events.v1", b"\xff\x00 no JSON", key.encode(), [("ce_type", b"?")])

    async def parked() -> list[dict[str, Any]]:
        found = (await orderbus("parked", "list", "--json")).json["parked"]
        return [row for row in found if row["key"] == key]

    rows = await eventually(parked, lambda seen: len(seen) == 3, "parked in three services")
    assert all("ce_id is missing" in row["error"] for row in rows)
    assert (await orderbus("parked", "show", key, "--service", "payments")).code == 0
    assert (await orderbus("parked", "skip", key)).code == 0
    assert await parked() == []


async def test_a_record_that_kafka_refuses_is_listed_shown_sent_again_and_dropped(
    orderbus: CommandLine, world: World, stack: Stack
) -> None:
    key = f"large-{uuid7()}"
    database = await asyncpg.connect(stack.postgres.url("notifications"))
    insert = "insert into outbox (topic, key, headers, body) values ('notifications.dead-letter.v1', $1, '[]', $2)"
    await database.execute(insert, key, b"x" * 2_300_000)
    await database.execute(insert, key, b"the next one")
    await database.execute("notify outbox")

    async def refused() -> list[dict[str, Any]]:
        found = (await orderbus("undeliverable", "list", "--json")).json["undeliverable"]
        return [row for row in found if row["key"] == key and row["waiting"] == 1]

    (row,) = await eventually(refused, lambda seen: len(seen) == 1, "refused, with one record behind it")
    assert (row["service"], row["error"]) == ("notifications", "MessageSizeTooLargeError")
    number = str(row["id"])
    shown = await orderbus("undeliverable", "show", "notifications", number, "--json")
    assert shown.json["bytes"] == 2_300_002
    again = await orderbus("undeliverable", "retry", "notifications", number, "--json")
    assert again.json["sent_again"] == 2
    await eventually(refused, lambda seen: len(seen) == 1, "refused once more")
    dropped = await orderbus("undeliverable", "drop", "notifications", number, "--json")
    assert dropped.json["sent_again"] == 1
    assert await refused() == []
    missing = await orderbus("undeliverable", "drop", "notifications", number)
    assert (missing.code, "has no undeliverable record" in missing.err) == (1, True)
    await database.close()


async def test_mistakes_are_answered_in_one_sentence(orderbus: CommandLine, tmp_path: Path) -> None:
    unknown, nowhere, amount = await asyncio.gather(
        orderbus("order", "ORD-NOSUCHONE0"),
        CommandLine({})("orders", "--data", str(tmp_path)),
        orderbus("run", "kitchen"),
    )

    assert (unknown.code, "There is no such order" in unknown.err) == (1, True)
    assert (nowhere.code, "orderbus up" in nowhere.err) == (64, True)
    assert (amount.code, "There is no service kitchen" in amount.err) == (64, True)
