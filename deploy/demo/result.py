"""What the demo came to: the figures, from the services' rows and the provider's books rather than from the play."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from deploy.client.http import ApiClient, ClientError
from deploy.demo.play import Life, Play
from deploy.sandboxes.client import StripeSandbox
from shared.settings import Settings
from shared.shell.postgres.engine import connect

KEYS = "season-pass"
"""The product, and the pool, whose codes come from a file."""


@dataclass(frozen=True)
class Result:
    """The keys of `orderbus demo --json`."""

    orders: int
    by_status: Mapping[str, int]
    """At rest, by checkout's own rows."""
    orders_per_second: float
    """Until 95 % of them were settled: where they stay, and every mail and webhook taken or given up."""
    orders_per_second_until_ended: float
    """Until 95 % of them were where they stay, whatever mails and webhooks still waited then."""
    latency_ms: Mapping[str, int]
    """Placed to completed, of orders that complete by themselves."""
    lost: int
    """Published orders without a row, or not in the status in which their story ends."""
    unsettled: int
    """With a mail or webhook that still waited when nothing moved any more."""
    double_charged: int
    """Charged more than once in the provider's books."""
    invariants: Mapping[str, bool]
    emails: int
    webhooks: int
    versions: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def good(self) -> bool:
        return not self.lost and not self.double_charged and all(self.invariants.values())


async def result_of(
    play: Play,
    edges: ApiClient,
    bank: StripeSandbox,
    *,
    invariants: Mapping[str, bool],
    versions: Mapping[str, str],
    before: tuple[int, int],
    waiting: Collection[str],
) -> Result:
    """`before`: mails and webhooks that were there before the play. `waiting`: orders whose mails or webhooks wait."""
    tally = play.tally
    rows = await rows_of(edges, play)
    statuses = Counter(rows[life.order.id]["status"] for life in tally.lives if life.order.id in rows)
    return Result(
        orders=len(tally.lives),
        by_status=dict(sorted(statuses.items())),
        orders_per_second=round(tally.settled_rate(waiting), 1),
        orders_per_second_until_ended=round(tally.rate_until_ended(), 1),
        latency_ms={"p50": tally.latency(0.5), "p99": tally.latency(0.99)},
        lost=len(lost(tally.lives, rows)),
        unsettled=sum(life.order.id in waiting for life in tally.lives),
        double_charged=double_charged(tally.lives, await bank.books()),
        invariants=invariants,
        emails=tally.mails - before[0],
        webhooks=tally.webhooks - before[1],
        versions=versions,
    )


async def rows_of(edges: ApiClient, play: Play) -> dict[str, Mapping[str, Any]]:
    """Checkout's rows of this play's orders, by id."""
    wanted = {life.order.id for life in play.tally.lives}
    rows: dict[str, Mapping[str, Any]] = {}
    for store in play.shop.catalogue.stores:
        after: str | None = ""
        while after is not None and len(rows) < len(wanted):
            page = await edges.orders(store=store, limit=200, after=after)
            rows |= {row["key"]: row for row in page["orders"] if row["key"] in wanted}
            after = page["next"]
    return rows


async def taken_keys(edges: ApiClient, play: Play) -> int:
    """Codes of the imported pool that are not free."""
    pool = await edges.get("fulfillment", f"/stores/{play.shop.catalogue.main}/pools/{KEYS}")
    return int(pool["taken"])


async def seen_keys(edges: ApiClient, play: Play) -> list[str]:
    """Those that the play's customers have had, be it before a refund."""
    seen: list[str] = []
    for life in play.tally.lives:
        if KEYS in life.story.skus:
            try:
                found = await edges.get("fulfillment", f"/orders/{life.order.id}/deliveries")
            except ClientError:
                continue  # lost, which is said elsewhere
            given = [item.get("instructions") or {} for item in found["items"] if item["sku"] == KEYS]
            seen += [code for one in given for code in one.get("codes") or [one.get("code")] if code]
    return seen


async def keys_are_given_once(edges: ApiClient, play: Play, taken_before: int) -> bool:
    """No two customers have had the same, and only what was seen is not free."""
    seen = await seen_keys(edges, play)
    return len(set(seen)) == len(seen) == await taken_keys(edges, play) - taken_before


def lost(lives: Sequence[Life], rows: Mapping[str, Mapping[str, Any]]) -> list[Life]:
    return [life for life in lives if life.trouble or rows.get(life.order.id, {}).get("status") not in life.story.ends]


def double_charged(lives: Sequence[Life], books: Mapping[str, Any]) -> int:
    ours = {life.order.id for life in lives}
    charges: Counter[str] = Counter()
    for intent in books["payment_intents"]:
        order = intent["metadata"].get("order", "")
        if order in ours:
            charges[order] += intent["effects"]["charges"]
    return sum(count > 1 for count in charges.values())


async def versions_of(settings: Settings, kafka: str) -> dict[str, str]:
    connection = await connect(settings.service("checkout").database_url.get_secret_value())
    try:
        postgresql = str(await connection.fetchval("show server_version")).split()[0]
    finally:
        await connection.close()
    return {
        "orderbus": version("orderbus"),
        "python": platform.python_version(),
        "kafka": kafka,
        "postgresql": postgresql,
        "stripe": version("stripe"),
        "aiokafka": version("aiokafka"),
        "asyncpg": version("asyncpg"),
    }
