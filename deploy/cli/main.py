"""The command line: `orderbus --help`. Commands import what they need when they run, so that help comes at once."""

from __future__ import annotations

import sys

import typer

from deploy.cli import (
    bench,
    check,
    console,
    demo,
    doctor,
    lost,
    orders,
    parked,
    publish,
    reclaim,
    settle,
    shop,
    simulate,
    system,
    top,
    undeliverable,
    waiting,
)

app = typer.Typer(
    name="orderbus",
    help="The order back end of a store as message-driven services on Kafka and PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(system.up)
app.command()(system.run)
app.command()(system.migrate)
app.command()(shop.shop)
app.command()(publish.publish)
app.command()(orders.orders)
app.command()(orders.order)
app.command()(orders.watch)
app.command()(orders.refund)
app.command()(orders.cancel)
app.command()(orders.ship)
app.command()(orders.retry)
app.command()(orders.complete)
app.command()(lost.lost)
app.command()(lost.resend)
app.command()(lost.replay)
app.command()(doctor.doctor)
app.command()(check.check)
app.command()(demo.demo)
app.command()(simulate.simulate)
app.command()(bench.bench)
app.command()(top.top)
app.command()(reclaim.reclaim_codes)
app.command()(waiting.waiting)
app.command()(waiting.resume)
app.add_typer(parked.app, name="parked")
app.add_typer(undeliverable.app, name="undeliverable")
app.add_typer(settle.app, name="settle")


def main() -> None:
    sys.exit(console.guarded(app))


if __name__ == "__main__":
    main()
