"""`orderbus demo`: the whole system, with customers who do everything that customers do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from deploy.check.run import Report, check
from deploy.cli import console
from deploy.cli.check import show_report
from deploy.cli.demo_store import play_store
from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop, stop_event
from deploy.cli.options import AsJson, Workers
from deploy.cli.order import whole_order
from deploy.cli.order_page import show_order
from deploy.cli.startup import running_system
from deploy.client.http import ApiClient
from deploy.client.local_stack import default_folder
from deploy.demo import board, catalogue, rest, result
from deploy.demo import play as plays
from deploy.demo.play import Life, Play
from deploy.demo.result import Result
from deploy.demo.shop import Shop
from deploy.devstack import kafka_jars
from deploy.devstack.stack import Stack
from deploy.sandboxes.client import OutsideWorld, StripeSandbox
from deploy.settings import load_all_settings
from shared.settings import Settings

FAVOURITES = ("pays with another card", "corrects a mistake", "wants some money back", "buys a print")
"""The stories whose timeline is worth showing, best first."""


@on_event_loop
async def demo(
    number: Annotated[
        int,
        typer.Option("--orders", min=1, max=1_000_000, metavar="N", help="Number of customers, with one order each."),
    ] = 200,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed gives the same customers.")] = 1,
    rate: Annotated[
        float, typer.Option("--rate", min=0, metavar="N", help="Orders per second; 0: as many as possible.")
    ] = 0,
    store: Annotated[
        str,
        typer.Option(
            "--store", metavar="NAME", help="Only the stories of a preset: course, checkout, sku, game; or all."
        ),
    ] = "",
    workers: Workers = 1,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Run in this folder and keep its contents. Default: an emptied one."
        ),
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Keep everything running afterwards, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate a shop's day, then exit (about 1 minute).

    Starts everything, lets customers buy, pay, fail to pay, cancel and get refunds, then reports the result. Exit code
    1 when an order was lost or charged twice, or an invariant is violated.
    """
    if stay and (store or as_json):
        raise UsageError("--stay is for the sample shop, and for people: without --store and --json.")
    stopping, stays = stop_event(), asyncio.Event()
    if store:
        work = play_store(store, data or demo_folder(), workers, fresh=data is None, as_json=as_json)
    else:
        work = _run(number, seed, rate, workers, data, as_json, _Stay(stay, stays, stopping))
    running = asyncio.create_task(work)
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done() and not stays.is_set():
        console.say("Stopping …")
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        raise Failure("The demo was stopped before it was done.", 130)
    stopped.cancel()
    await running


@dataclass(frozen=True)
class _Stay:
    """Whether, and how long, everything is kept running afterwards."""

    wanted: bool
    begun: asyncio.Event
    ended: asyncio.Event

    async def until_told(self) -> None:
        self.begun.set()
        await self.ended.wait()
        console.say("Stopping …")


async def _run(
    number: int, seed: int, rate: float, workers: int, data: Path | None, as_json: bool, stay: _Stay
) -> None:
    started = time.monotonic()
    async with running_system(data or demo_folder(), workers, fresh=data is None) as (stack, _):
        os.environ.update(stack.environment())
        settings, shipped = load_all_settings(), catalogue.load(stack.outside_url)
        people = plays.casting(number, seed)
        async with (
            ApiClient.of(settings) as api,
            OutsideWorld(stack.outside_url, stack.secrets.outside_token) as outside,
            StripeSandbox(stack.stripe_url, stack.secrets.stripe_control_token) as bank,
        ):
            await catalogue.open_shop(api, outside, shipped, plays.stock_for(people))
            async with Shop(settings, shipped) as shop:
                play = Play(shop, api, outside, bank, people, seed=seed, rate=rate)
                final, report = await _played(play, api, settings, started)
            if as_json:
                console.show_json(final.document())
            else:
                chosen = _favourite(play)
                show_order(await whole_order(api, chosen.order.id))
                for line in _summary(final).split("\n"):
                    console.show(line)
                print(_calls(stack, chosen) if stay.wanted else _where_to_look(stack, chosen, keep=data))
            _say_troubles(play)
            if not report.ok and not as_json:
                show_report(report)
        if stay.wanted:
            await stay.until_told()
    if not final.good:
        raise Failure("The demo found errors: see above.")


async def _played(play: Play, api: ApiClient, settings: Settings, started: float) -> tuple[Result, Report]:
    """Let the customers come, wait until nothing moves, and check."""
    await play.count()
    before, taken = (play.tally.mails, play.tally.webhooks), await result.taken_keys(api, play)
    console.say(f"The shop is open to {console.counted(len(play.people), 'customer')}.")
    async with board.shown(play.tally):
        await play.run()
        await rest.comes_to_rest(settings, play)
    if play.tally.first_completed is not None:
        console.say(f"The first order was completed {play.tally.first_completed - started:.1f} s after the start.")
    console.say("Checking the invariants …")
    report = await check(settings)
    final = await result.result_of(
        play,
        api,
        play.bank,
        invariants={
            **{name: not violations for name, violations in report.invariants.items()},
            "keys_are_given_once": await result.keys_are_given_once(api, play, taken),
        },
        versions=await result.versions_of(settings, kafka_jars.VERSION),
        before=before,
        waiting=await rest.unsettled(settings),
    )
    return final, report


def demo_folder() -> Path:
    """A folder next to that of `orderbus up`. Each demo deletes its contents first."""
    return default_folder().with_name("demo")


def _favourite(play: Play) -> Life:
    """The order to show."""
    for name in FAVOURITES:
        for life in play.tally.lives:
            if life.story.name == name and life.ended_at:
                return life
    return play.tally.lives[0]


def _summary(final: Result) -> str:
    statuses = ", ".join(f"{count} {status}" for status, count in final.by_status.items())
    broken = [name for name, holds in final.invariants.items() if not holds]
    return (
        f"\n{final.orders} orders: {statuses}\n"
        f"  {final.orders_per_second} orders/s until all their emails and webhooks were delivered "
        f"({final.orders_per_second_until_ended}/s until their final status)\n"
        f"  placed to completed: 50 % within {final.latency_ms['p50']} ms, 99 % within {final.latency_ms['p99']} ms\n"
        f"  {final.lost} lost, {final.double_charged} charged twice; {final.emails} emails, {final.webhooks} webhooks"
        f"{f'; {final.unsettled} orders with undelivered emails or webhooks' if final.unsettled else ''}\n"
        f"  invariants: {'violated: ' + ', '.join(broken) if broken else f'all {len(final.invariants)} hold'}\n"
        f"  {', '.join(f'{name} {value}' for name, value in final.versions.items())}"
    )


def _where_to_look(stack: Stack, chosen: Life, keep: Path | None) -> str:
    folder, program, data = stack.data, shlex.quote(sys.argv[0]), f"--data {shlex.quote(str(stack.data))}"
    return (
        f"\nWhere to look (all data is kept{'' if keep else ' until the next demo'}):\n"
        f"  emails    {folder / 'outside' / 'mails'}\n"
        f"  webhooks  {folder / 'outside' / 'hooks'}\n"
        f"  logs      {folder / 'logs'}\n\n"
        f"The rest, once this runs:\n\n"
        f"{program} up {data}\n\n"
        f"In another terminal: the orders, one of them, all changes of status, and the customer's feed:\n\n"
        f"{program} orders {data}\n"
        f"{program} order {chosen.order.number} {data}\n"
        f"{program} watch --all {data}\n"
        f'eval "$({program} env {data})"\n'
        f'curl -H "Authorization: Bearer $ORDERBUS_API_TOKEN" "$NOTIFICATIONS_URL/feeds/{_feed(chosen)}"\n\n'
        f"To keep everything running after the demo: make demo ARGS=--stay"
    )


def _calls(stack: Stack, chosen: Life) -> str:
    """What to ask of staff's API while it runs."""
    program, data = shlex.quote(sys.argv[0]), f"--data {shlex.quote(str(stack.data))}"
    api, number = f"http://127.0.0.1:{stack.ports['staff']}/api/v1", chosen.order.number
    curl = 'curl -H "Authorization: Bearer $ORDERBUS_API_TOKEN"'
    return (
        f"\nEverything runs until Ctrl-C. Staff's API is at {api}. In another terminal:\n\n"
        f'eval "$({program} env {data})"\n'
        f'{curl} "{api}/orders?status=completed&limit=3"\n'
        f'{curl} "{api}/orders/{number}/timeline"\n'
        f'{curl} "{api}/queues"'
    )


def _feed(chosen: Life) -> str:
    customer = (chosen.order.latest.get("customer") or {}).get("id", "")
    return f"{chosen.order.store}~customer~{customer}"


def _say_troubles(play: Play) -> None:
    for life in [life for life in play.tally.lives if life.trouble][:10]:
        console.say(f"{life.story.name}: {life.trouble}")
