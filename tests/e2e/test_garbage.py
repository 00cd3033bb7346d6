"""Garbage on every topic: it is parked or refused, alone, with its reason; every other order goes on. Events of unknown
types and versions are another build's, and are skipped."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from deploy.client.storefront import Follower, Storefront, uuid7
from services.declared import declared
from shared.contracts import checkout, fulfillment, notifications, payments, storefront, stores
from shared.contracts.envelope import Envelope, encode, to_headers
from shared.contracts.examples import EXAMPLES
from shared.core import Command, Message, Topic
from tests.e2e.conversation import World, eventually

# For each topic a message with a number in it: one to spoil.
SAMPLES: tuple[type[Message], ...] = (
    storefront.CheckoutSubmitted,
    stores.DefineSku,
    checkout.OrderPaid,
    payments.RefundPayment,
    payments.PaymentCaptured,
    fulfillment.ReceiveStock,
    fulfillment.ItemDelivered,
    notifications.RegisterWebhook,
    notifications.WebhookDelivered,
)
UNINTERESTED = {(checkout.OrderPaid, "payments")}
"""A service that does not handle a type reads no further."""
REFUSALS = ("checkout.refused", "payments.refused", "fulfillment.refused", "notifications.refused", "staff.refused")


@dataclass(frozen=True)
class Garbage:
    name: str
    body: bytes
    headers: Sequence[tuple[str, bytes | None]]
    typed: bool = True
    """Whether it says a type that there is."""
    unknown: bool = False
    """Whether another build may know it: an event like this is skipped."""


def spoiled(kind: type[Message], key: str) -> Iterator[Garbage]:
    good = encode(EXAMPLES[kind])
    envelope = Envelope(uuid7(), kind.type, "test", key, datetime.now(UTC), version=kind.version)

    def fresh(**changes: object) -> list[tuple[str, bytes]]:
        return to_headers(replace(envelope, id=uuid7(), **changes))  # type: ignore[arg-type]

    yield Garbage("no JSON", b"{no json", fresh())
    yield Garbage("no UTF-8", b'{"a": "\xff\xfe"}', fresh())
    yield Garbage("a NUL", good.replace(b"{", b'{"note": "a\\u0000b", ', 1), fresh())
    yield Garbage("a lone surrogate", good.replace(b"{", b'{"note": "\\ud800", ', 1), fresh())
    yield Garbage("a megabyte", b'{"note": "' + b"x" * 1_000_100 + b'"}', fresh())
    for number in (b"-1", b"9223372036854775808", b"NaN"):
        worse = re.sub(rb":\d+", b":" + number, good, count=1)
        if worse != good:
            yield Garbage(f"the number {number.decode()}", worse, fresh())
    if issubclass(kind, Command):
        yield Garbage("a name twice", good.replace(b"{", b'{"note": 1, "note": 2, ', 1), fresh())
    if kind is storefront.CheckoutSubmitted:
        yield Garbage("another store in the header", good, fresh(store="elsewhere"))
    nothing: list[tuple[str, bytes | None]] = [*fresh(type="order.vanished"), ("x", None)]
    yield Garbage("a header without a value", good, nothing, typed=False, unknown=True)
    yield Garbage("a NUL in the type", good, fresh(type="order.\x00paid"), typed=False)
    yield Garbage("an unknown type", good, fresh(type="order.vanished"), typed=False, unknown=True)
    yield Garbage("an unknown version", good, fresh(version=99), unknown=True)
    without = [(name, value) for name, value in fresh() if name not in ("ce_id", "ce_type")]
    yield Garbage("missing headers", good, without, typed=False)


def readers(topic: Topic) -> list[str]:
    return [name for name, service in declared().items() if topic in service.consumes]


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.topic.name)
async def test_garbage_on(world: World, kind: type[Message]) -> None:
    parked: dict[str, Garbage] = {}
    refused: dict[str, Garbage] = {}
    skipped: dict[str, Garbage] = {}
    order = await world.customer().buys("atlas")
    async with (
        Storefront(world.settings.kafka) as shop,
        Follower(
            world.settings.kafka,
            [checkout.ORDERS, payments.EVENTS, fulfillment.EVENTS, notifications.EVENTS],
            types=REFUSALS,
        ) as answers,
    ):
        for number, garbage in enumerate(spoiled(kind, "placeholder")):
            key = f"garbage-{number}-{uuid7()}"
            headers = [(name, key.encode() if name == "ce_subject" else value) for name, value in garbage.headers]
            await shop.publish_raw(kind.topic.name, garbage.body, key.encode(), headers)
            if issubclass(kind, Command):
                refused[key] = garbage
            else:
                (skipped if garbage.unknown else parked)[key] = garbage
        await shop.publish_raw(kind.topic.name, b"\x00\x01", None, [])

        seen: dict[str, dict[str, object]] = {}
        told = answers.records()
        async with asyncio.timeout(60):
            while refused and set(seen) != set(refused):
                answer = await anext(told)
                seen |= {answer.key: answer.body} if answer.key in refused else {}
    assert all(body["text"] and (body["problems"] or body["code"] != "malformed") for body in seen.values())
    assert all((seen[key]["code"] == "unknown_command") is garbage.unknown for key, garbage in refused.items())

    for service in readers(kind.topic):
        expected = {key for key, bad in parked.items() if not (bad.typed and (kind, service) in UNINTERESTED)}
        rows = await all_parked(world, service, expected)
        assert not {*refused, *skipped} & set(rows)
        assert all(rows[key]["error"] and rows[key]["topic"] == kind.topic.name for key in expected)
        mine = [key for key, row in rows.items() if row["topic"] == kind.topic.name]
        assert len(mine) == len(expected) + 1, "and the one without a key, under a key of its own"
        await released(world, service, mine)
    await order.becomes("completed")


async def listed(world: World, service: str) -> dict[str, dict[str, str]]:
    return {row["key"]: row for row in (await world.edges.get(service, "/parked"))["parked"]}


async def all_parked(world: World, service: str, keys: set[str]) -> dict[str, dict[str, str]]:
    def are_there(rows: dict[str, dict[str, str]]) -> bool:
        return keys <= set(rows) and any("/" in key for key in rows)

    return await eventually(lambda: listed(world, service), are_there, f"{service} parks {len(keys)} and one")


async def released(world: World, service: str, keys: list[str]) -> None:
    """Staff look, see that nothing can be done, and skip."""
    for key in keys:
        shown = await world.edges.get(service, f"/parked/{key}")
        assert shown["parked"][0]["error"]
        await world.edges.command(service, f"/parked/{key}/skip", {})
    assert not set(keys) & set(await listed(world, service))
