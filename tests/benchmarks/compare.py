"""Is this code as fast as a commit's? `python -m tests.benchmarks.compare --before COMMIT`, see docs/benchmarks.md.

Both run in turns on one stack, driven by the same customers over Kafka and HTTP: the commit's code as services from a
git worktree, with databases and migrations of its own. The order of the two changes from pair to pair.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg
import orjson
import uvloop

from deploy.demo.catalogue import HOOK
from deploy.devstack.errors import StackError
from deploy.devstack.processes import PROJECT, Services
from deploy.devstack.stack import Stack
from tests.benchmarks.code import Code, CodeFailed, checked_out, code_in, described
from tests.benchmarks.customers import DIGITAL, Customers, Stuck
from tests.benchmarks.earlier import Checkouts, EarlierShop
from tests.benchmarks.ground import INSTANT, REAL, Ground
from tests.benchmarks.measure import profiled
from tests.benchmarks.pairs import Measurement, Pair, cpu_by_process, cpu_ratio, rate_ratio

GATEWAYS = {"instant": INSTANT, "real": REAL}
SETTLING = 0.5
"""Seconds between a warm-up and the measurement: services still read what was told last."""


@dataclass(frozen=True)
class Question:
    """What is compared, and how: pairs with the same question can be judged together."""

    before: str
    after: str
    gateways: str
    light: bool
    orders: int

    @property
    def per_second(self) -> float:
        """0: as fast as they are completed."""
        return 20.0 if self.light else 0.0

    def __str__(self) -> str:
        pace = f"{self.per_second:.0f} orders/s" if self.light else "full speed"
        return f"{self.after} against {self.before}, {self.gateways} gateways, {pace}, {self.orders} orders a turn"


@dataclass(frozen=True)
class Side:
    """One code, and its set of databases."""

    code: Code
    databases: str


class Comparison:
    def __init__(self, ground: Ground, question: Question, before: Side, after: Side) -> None:
        self.ground, self.question = ground, question
        self.before, self.after = before, after
        stack = ground.stack
        self.shop = EarlierShop(before.code, stack.outside_url, stack.secrets.outside_token)
        self.checkouts: Checkouts | None = None

    async def prepare(self) -> None:
        """Tables, made by each code's own migrations, the earlier shop, and some orders: Kafka is slow at first."""
        self.checkouts = await self.shop.checkouts(self.question.orders, DIGITAL)
        for side in (self.before, self.after):
            await self.ground.make_databases(side.databases)
            await side.code.run(
                "-m", side.code.module("deploy.cli.main"), "migrate", settings=self.ground.environment(side.databases)
            )
            async with self._running(side) as (_, customers):
                settings = self.ground.environment(side.databases)
                await self.shop.open(settings, hook=f"{HOOK}-{side.databases}")
                await customers.buy(self.question.orders // 2)

    async def pairs(self, count: int) -> AsyncIterator[Pair]:
        """Yield each pair when it is measured."""
        for number in range(count):
            if number % 2 == 0:
                before = await self.turn(self.before)
                after = await self.turn(self.after)
            else:
                after = await self.turn(self.after)
                before = await self.turn(self.before)
            yield Pair(before, after)

    async def turn(self, side: Side) -> Measurement:
        """Raises Stuck."""
        question, load = self.question, os.getloadavg()[0]
        async with self._running(side) as (services, customers):
            await customers.buy(20 if question.light else max(100, question.orders // 5))
            await self._checkpoint()
            await asyncio.sleep(SETTLING)
            processes = self.ground.processes(services)
            spent = processes.cpu()
            lives = await customers.buy(question.orders, per_second=question.per_second)
            used = processes.since(spent).milliseconds_per(question.orders)
        latency = {"p50": lives.latency(0.5), "p99": lives.latency(0.99)}
        used = {name: milliseconds for name, milliseconds in used.items() if name != "customers"}
        return Measurement(lives.rate, lives.rate_until_completed, latency, used, load)

    async def stages(self) -> str:
        """One more turn of each under a sampling profiler, with instant gateways: a table."""
        orders = self.question.orders
        before = await profiled(self.ground, self.before.databases, self.before.code, orders, self.checkouts)
        after = await profiled(self.ground, self.after.databases, self.after.code, orders, self.checkouts)
        return stage_table(before, after)

    @asynccontextmanager
    async def _running(self, side: Side) -> AsyncIterator[tuple[Services, Customers]]:
        kafka = self.ground.settings(side.databases).kafka
        async with (
            self.ground.services(side.databases, GATEWAYS[self.question.gateways], code=side.code) as services,
            Customers(kafka, self.ground.catalogue, checkouts=self.checkouts) as customers,
        ):
            yield services, customers

    async def _checkpoint(self) -> None:
        """So that no checkpoint falls into one turn only, and each turn writes full pages again."""
        server = await asyncpg.connect(self.ground.stack.postgres.url("postgres"))
        try:
            await server.execute("checkpoint")
        finally:
            await server.close()


async def compare(
    question: Question, folders: Sequence[Path], count: int, record: Path | None, *, stages: bool
) -> list[Pair]:
    """Measure and print pair by pair; all pairs of this question, those in `record` among them."""
    before = Side(await code_in("before", folders[0]), "before")
    after = Side(await code_in("after", folders[1]), "after")
    pairs = list(recorded(record, question))
    with tempfile.TemporaryDirectory(prefix="orderbus-compare-") as data:
        async with Stack(Path(data) / "stack", fresh=True) as stack:
            comparison = Comparison(Ground(stack), question, before, after)
            await comparison.prepare()
            async for pair in comparison.pairs(count):
                pairs.append(pair)
                keep(record, question, pair)
                print(line_of(len(pairs), pair), flush=True)
            if stages:
                print("\n" + await comparison.stages(), flush=True)
    return pairs


def recorded(file: Path | None, question: Question) -> Iterator[Pair]:
    """Pairs measured earlier. A line of the file: `{"question": {…}, "pair": {…}}`."""
    if file is None or not file.exists():
        return
    for line in file.read_text().splitlines():
        entry = orjson.loads(line)
        if entry["question"] == asdict(question):
            yield Pair(Measurement(**entry["pair"]["before"]), Measurement(**entry["pair"]["after"]))


def keep(file: Path | None, question: Question, pair: Pair) -> None:
    if file is not None:
        with file.open("ab") as lines:
            lines.write(orjson.dumps({"question": asdict(question), "pair": asdict(pair)}) + b"\n")


def line_of(number: int, pair: Pair) -> str:
    def shown(turn: Measurement) -> str:
        return (
            f"{turn.rate:6.1f}/s settled {turn.rate_until_completed:6.1f}/s completed {turn.cpu_in_all:7.2f} ms "
            f"p50 {turn.latency['p50']} p99 {turn.latency['p99']} (load {turn.load:.1f})"
        )

    return f"pair {number}  before {shown(pair.before)}\n{'':7} after  {shown(pair.after)}"


def report(question: Question, pairs: Sequence[Pair]) -> str:
    cpu = cpu_ratio(pairs)
    lines = [str(question), f"Settled orders per second of CPU, after over before:  {cpu}"]
    if not question.light:
        lines.append(f"Settled orders per second, after over before:         {rate_ratio(pairs)}")
    lines.append(f"\n{'ms of CPU per settled order':<30}{'before':>9}{'after':>9}{'difference':>12}")
    by_process = cpu_by_process(pairs)
    for name, (old, new) in by_process.items():
        lines.append(f"{name:<30}{old:>9.2f}{new:>9.2f}{new - old:>+12.2f}")
    return "\n".join(lines)


def stage_table(before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]) -> str:
    """Of each service and stage, those that differ most first."""
    places = {(service, stage) for found in (before, after) for service in found for stage in found[service]}
    rows = [
        (*place, before.get(place[0], {}).get(place[1], 0.0), after.get(place[0], {}).get(place[1], 0.0))
        for place in places
    ]
    rows.sort(key=lambda row: (-abs(row[3] - row[2]), row))
    lines = [f"{'us of CPU per order, sampled':<34}{'before':>9}{'after':>9}{'difference':>12}"]
    lines += [
        f"{f'{service}: {stage}':<34}{old:>9.0f}{new:>9.0f}{new - old:>+12.0f}" for service, stage, old, new in rows
    ]
    return "\n".join(lines)


def passed(question: Question, pairs: Sequence[Pair]) -> bool:
    return cpu_ratio(pairs).passes and (question.light or rate_ratio(pairs).passes)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.compare", description=__doc__)
    add = parser.add_argument
    add("--before", required=True, metavar="COMMIT", help="what this code is compared with")
    add("--after", default="", metavar="COMMIT", help="instead of the files as they are here")
    add("--pairs", type=int, default=7, help="how many turns of each (7)")
    add("--gateways", choices=tuple(GATEWAYS), default="instant", help="an outside that answers at once, or a real one")
    add("--light", action="store_true", help="20 orders a second instead of as many as possible")
    add("--orders", type=int, default=0, help="orders of each turn (2000; real gateways 1200; light 400)")
    add("--stages", action="store_true", help="also sample by stage what the services' CPU time goes into")
    add("--record", type=Path, metavar="FILE", help="keep the pairs there, and judge them with those kept before")
    return parser.parse_args(given)


def question_of(given: argparse.Namespace) -> Question:
    orders = given.orders or (400 if given.light else {"instant": 2000, "real": 1200}[given.gateways])
    return Question(described(given.before), described(given.after), given.gateways, given.light, orders)


def main() -> int:
    given = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the worktrees and the stack are cleared away
    try:
        question = question_of(given)
        with ExitStack() as cleanup:
            before = cleanup.enter_context(checked_out(given.before))
            after = cleanup.enter_context(checked_out(given.after)) if given.after else PROJECT
            print(question, flush=True)
            pairs = uvloop.run(compare(question, (before, after), given.pairs, given.record, stages=given.stages))
    except (CodeFailed, StackError, Stuck) as trouble:
        print(trouble, file=sys.stderr)
        return 2
    print("\n" + report(question, pairs))
    return 0 if passed(question, pairs) else 1


if __name__ == "__main__":
    sys.exit(main())
