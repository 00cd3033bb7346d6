"""The table of commands.

A command's module is imported when the command is called or asked for its own help. Until then its name and one line of
help are all that is needed, so `orderbus --help` starts fast although command modules import what they like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    name: str
    function: str
    """`module:function` of this package, a plain or an async function. The first line of its docstring is `help`."""
    help: str
    """At most 58 characters: what fits next to the name on 80 columns."""


@dataclass(frozen=True)
class Group:
    name: str
    help: str
    commands: Sequence[Command]


@dataclass(frozen=True)
class Section:
    """A part of the list of commands, under a heading."""

    title: str
    commands: Sequence[Command | Group]


PARKED = (
    Command("list", "parked:listing", "List all parked messages, with the reason."),
    Command("show", "parked:show", "Show a key's parked messages, with headers and body."),
    Command("retry", "parked:retry", "Handle a key's parked messages again, in order."),
    Command("skip", "parked:skip", "Drop a key's first parked message, handle the rest."),
)
UNDELIVERABLE = (
    Command("list", "undeliverable:listing", "List all undeliverable records, with Kafka's error."),
    Command("show", "undeliverable:show", "Show one record, with headers and body."),
    Command("retry", "undeliverable:retry", "Send a record again, then those waiting behind it."),
    Command("drop", "undeliverable:drop", "Delete a record, then send those waiting behind it."),
)
PAYMENTS = (Command("owed", "payments:owed", "List what is owed to customers, and what it waits for."),)
SECRETS = (
    Command("set", "secrets:put", "Set a secret; its value is read from standard input."),
    Command("list", "secrets:listing", "List a store's secrets by name, with who set them."),
    Command("remove", "secrets:remove", "Remove a secret. Deliveries that name it wait."),
)
FILES = (
    Command("put", "files:put", "Upload a file that products name, or replace it."),
    Command("list", "files:listing", "List a store's files, without those of single orders."),
    Command("remove", "files:remove", "Remove a file: links to it say that it is gone."),
)
SERVERS = (
    Command("set", "game_servers:put", "Set how a game server is reached; it is tested at once."),
    Command("test", "game_servers:test", "Connect to a game server and ask who is online."),
    Command("list", "game_servers:listing", "List a store's game servers, and how they are."),
)
CARRIERS = (
    Command("set", "carriers:put", "Set the page where customers follow a carrier's parcels."),
    Command("remove", "carriers:remove", "Remove the store's page of a carrier."),
    Command("list", "carriers:listing", "List the pages of carriers: a store's and well-known ones."),
)
DISCORD = (
    Command("configure", "discord:configure", "Connect a store to a Discord server."),
    Command("test", "discord:test", "Test a connection: the token, the server, its roles."),
)
CODES = (
    Command("import", "codes:import_codes", "Add the codes of a file to a pool: all of them, or none."),
    Command("pool", "codes:configure_pool", "Set a pool's name, and when few codes are left."),
    Command("provide", "codes:provide", "Deliver an item with codes that you type."),
)
SETTLE = (
    Command("payment", "settle:payment", "Record the outcome of an attempt to charge."),
    Command("refund", "settle:refund", "Record the outcome of a refund."),
    Command("mail", "settle:mail", "Record whether an email was sent."),
    Command("item", "settle:item", "Record whether an item was delivered or revoked."),
)

DELIVERY = (
    Command("mark-delivered", "deliveries:mark_delivered", "Mark items, or all that is open, as delivered by hand."),
    Command("resend", "deliveries:resend", "Send again what was delivered, with new links."),
    Command("renew", "deliveries:renew", "Send the customer new links to an item's downloads."),
    Command("revoke", "deliveries:revoke", "Remove access to what was delivered, without a refund."),
    Command("grant-again", "deliveries:grant_again", "Deliver again, as it was bought, what staff had revoked."),
    Command("attach", "deliveries:attach", "Give the customer a link, a file or a text with an item."),
    Command("hold", "deliveries:hold", "Deliver nothing of an order until it is released."),
    Command("release", "deliveries:release", "Deliver an order that was held for verification."),
    Command("downloads", "downloads:downloads", "List who downloaded what of an order, and when."),
    Command("start", "deliveries:start", "Deliver a paid order whose store starts each by hand."),
    Command("return", "deliveries:returned", "Record that items came back; put them in stock, refund."),
    Command("parcel-delivered", "deliveries:parcel_delivered", "Record that a parcel has reached the customer."),
)
STOCK = (
    Command("list", "stock:listing", "List the stock of a store, or only what is low."),
    Command("receive", "stock:receive", "Add units that were delivered to you."),
    Command("set", "stock:set_units", "Say how many units are on hand, as counted."),
    Command("adjust", "stock:adjust", "Add units that were found, or take away lost ones."),
    Command("history", "stock:history", "Show how a SKU's stock has changed, by whom and why."),
)
STORES = (
    Command("list", "stores:listing", "List all stores."),
    Command("show", "stores:show", "Show a store's settings, by default ones too."),
    Command("set", "stores:put", "Change settings of a store: all that are named, or none."),
    Command("history", "stores:history", "Show how a store's settings changed, and by whom."),
)

PRODUCTS = (
    Command("list", "products:listing", "List what a store sells: SKUs and their prices."),
    Command("set", "products:put", "Define a product that is sold as one SKU, or replace it."),
)
WEBHOOKS = (
    Command("list", "webhooks:listing", "List a store's webhook endpoints, and why one is paused."),
    Command("add", "webhooks:add", "Register a webhook endpoint, and show its secret once."),
    Command("remove", "webhooks:remove", "Remove a webhook endpoint. What waits for it is not sent."),
    Command("pause", "webhooks:pause", "Pause a webhook endpoint. Deliveries meanwhile are kept."),
)
CUSTOMERS = (
    Command("export", "customers:export", "Write all that is known of a customer as JSON."),
    Command("erase", "customers:erase", "Erase a customer's personal data in all services."),
)
STAFF = (
    Command("compare", "staff:compare", "Compare staff's tables with the status topics."),
    Command("rebuild", "staff:rebuild", "Make staff's tables again from the status topics."),
    Command("invite", "staff:invite", "Print a one-time link by which a user joins."),
    Command("verify-audit", "staff:verify_audit_log", "Check that staff's audit log is whole."),
)

EMBEDDED = (
    Command("up", "up:up", "Run everything here: Kafka, PostgreSQL, all services."),
    Command("shop", "shop:shop", "Set up the sample shop: stores, products, stock."),
    Command("demo", "demo:demo", "Simulate a shop's day, then exit (about 1 minute)."),
    Command("simulate", "simulate:simulate", "Run seeded orders with injected faults, in one process."),
    Command("bench", "bench:bench", "Measure throughput, latency and CPU time."),
)
"""Not in the production image."""
SERVICES = (
    Command("migrate", "migrate:migrate", "Upgrade the services' databases to the newest schema."),
    Command("run", "run:run", "Run one worker of one service."),
    Command("top", "top:top", "Watch every worker: rates, lag, queues, memory."),
    Command("monitor", "monitor:monitor", "Watch orders, revenue and declines of the last minutes."),
    Command("env", "env:env", 'Print what a shell needs: eval "$(orderbus env)".'),
    Command("completion", "completion:completion", "Print what completes commands in bash, zsh or fish."),
    Command("doctor", "doctor:doctor", "Show what is reachable, its version, and what is missing."),
    Command("check", "check:check", "Check every invariant against databases and topics."),
    Command("restore", "restore:restore", "Bring a restored database up to date with the topics."),
    Command("attention", "attention:attention", "List all that waits for staff, with the command to use."),
)
ORDERS = (
    Command("publish", "publish:publish", "Publish checkout messages from a file."),
    Command("orders", "orders:orders", "List orders, newest first."),
    Command("order", "order:order", "Show one order: timeline, items, payments, emails."),
    Command("watch", "watch:watch", "Follow the status of all orders live."),
    Command(
        "record-payment",
        "record_payment:record_payment",
        "Record a payment by bank transfer, in cash or otherwise.",
    ),
    Command("refund", "refund:refund", "Refund an order: in full, an amount, or single items."),
    Command("accept", "order_changes:accept", "Accept an order that waits for approval; charge it."),
    Command("reopen", "order_changes:reopen", "Reopen an order whose payment has failed."),
    Command("decline", "order_changes:decline", "Decline an order that waits; nothing is charged."),
    Command("cancel", "order_changes:cancel", "Cancel an order before completion; refund payments."),
    Command("ship", "order_changes:ship", "Mark items as shipped, with a tracking number."),
    Command("retry", "order_changes:retry", "Retry failed or waiting deliveries."),
    Group("delivery", "Deliver by hand, send again, revoke, return, hold.", DELIVERY),
    Command("complete", "complete:complete", "Mark an order as completed by hand."),
    Command("note", "correspondence:note", "Add a note for staff to an order or its customer."),
    Command("hand-in", "correspondence:hand_in", "Hand in a message that was written elsewhere."),
    Command("answer", "correspondence:answer", "Grant or refuse what the customer asks for."),
    Command("abandoned", "abandoned:abandoned", "List checkouts that were opened and not submitted."),
)
LOST = (
    Command("lost", "lost:lost", "List emails or webhook deliveries that did not arrive."),
    Command("resend", "lost:resend", "Send lost emails again."),
    Command("replay", "lost:replay", "Send lost webhook deliveries again."),
    Group("webhooks", "Where a store's events are sent.", WEBHOOKS),
    Command("resume-webhook", "waiting:resume_webhook", "Resume deliveries to a paused webhook endpoint."),
    Command("feed", "feed:feed", "Show the feed of a store's staff, or a customer's."),
)
OPERATIONS = (
    Command("waiting", "waiting:waiting", "List external calls with no outcome yet, and why."),
    Command("resume", "waiting:resume", "Resume calls to a paused destination."),
    Command("add-codes", "codes:add_codes", "Add redemption codes to a pool, from a file."),
    Group("stores", "Settings of stores, and their history.", STORES),
    Group("products", "What stores sell, at which prices.", PRODUCTS),
    Group("stock", "Count, correct and look through stock.", STOCK),
    Group("codes", "Import redemption codes, or type them for an item.", CODES),
    Group("files", "Upload what customers download.", FILES),
    Group("parked", "Inspect, retry or skip messages that failed.", PARKED),
    Group("undeliverable", "Inspect, retry or drop records that Kafka refuses.", UNDELIVERABLE),
    Group("payments", "List payments that wait for something.", PAYMENTS),
    Group("carriers", "Pages on which customers follow parcels.", CARRIERS),
    Group("discord", "A store's connections to Discord servers.", DISCORD),
    Group("secrets", "What deliveries need at other systems, by name.", SECRETS),
    Group("servers", "Game servers that deliveries run commands on.", SERVERS),
    Group("customers", "Export or erase what is known of a customer.", CUSTOMERS),
    Group("staff", "Staff's tables, first users and audit log.", STAFF),
    Group("settle", "Record the outcome of a call where it is unknown.", SETTLE),
    Command("republish", "republish:republish", "Go on with a new Kafka cluster after the old was lost."),
    Command("reclaim-codes", "reclaim_codes:reclaim_codes", "Restore step: mark codes that customers have as taken."),
)
COMMANDS = (
    Section("On this machine", EMBEDDED),
    Section("Services", SERVICES),
    Section("Orders", ORDERS),
    Section("Emails and webhooks", LOST),
    Section("Operations", OPERATIONS),
)


def single(entries: Iterable[Command | Group]) -> Iterator[Command]:
    """The commands, those of groups too."""
    for entry in entries:
        yield from (entry,) if isinstance(entry, Command) else entry.commands
