"""A webhook subscriber in Python: verifies, answers at once, handles each event once.

eval "$(orderbus env)"
python examples/webhooks/register.py http://127.0.0.1:8098/hooks    # prints WEBHOOK_SECRET, once
WEBHOOK_SECRET=whsec_… python examples/webhooks/subscriber.py
"""

import json
import os
import sqlite3
import sys

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

SCHEMA = """
create table if not exists events (id text primary key, event text, number text, at text, body text);
create table if not exists orders (number text primary key, status text, at text);
"""


def save(database: sqlite3.Connection, id: str, body: bytes) -> bool:
    """False for an event that is here already: one whose answer was lost, or that staff sent again, comes twice under
    the same `webhook-id`."""
    event = json.loads(body)
    number = event["data"]["order_number"]
    with database:
        row = (id, event["event"], number, event["timestamp"], body.decode())
        if not database.execute("insert or ignore into events values (?, ?, ?, ?, ?)", row).rowcount:
            return False
        # Events of an order may come in another order than they happened: what is older than what we know is kept, but
        # does not count. Timestamps always have six digits of a second, so texts compare as the times do. Two events
        # of one happening have the same, and the same status.
        database.execute(
            "insert into orders values (?, ?, ?) on conflict (number) do update set status = excluded.status, "
            "at = excluded.at where excluded.at >= orders.at",
            (number, event["data"].get("status"), event["timestamp"]),
        )
    return True


async def receive(request: web.Request) -> web.Response:
    body = await request.read()
    try:
        request.app[VERIFIER].verify(body, dict(request.headers))  # the bytes as they came, and none too old
    except WebhookVerificationError:
        return web.Response(status=401)
    id = request.headers["webhook-id"]
    if save(request.app[DATABASE], id, body):
        print("new", json.loads(body)["event"], json.loads(body)["data"]["order_number"], flush=True)
    # Any 2xx says: it is ours now. What takes longer than a few seconds is done afterwards, from the table.
    return web.Response(status=204)


VERIFIER: web.AppKey[Webhook] = web.AppKey("verifier", Webhook)
DATABASE: web.AppKey[sqlite3.Connection] = web.AppKey("database", sqlite3.Connection)


def application(secret: str, file: str) -> web.Application:
    made = web.Application()
    made[VERIFIER], made[DATABASE] = Webhook(secret), sqlite3.connect(file)
    made[DATABASE].executescript(SCHEMA)
    made.add_routes([web.post("/hooks", receive)])
    return made


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8098
    web.run_app(application(os.environ["WEBHOOK_SECRET"], "webhooks.sqlite"), host="127.0.0.1", port=port)
