"""A staff tool: refunds an order, and says whether the refund was refused, has failed, or was made.

eval "$(orderbus env)"
python examples/staff/refund.py my-first-order 500     # 5.00 EUR: minor units
python examples/staff/refund.py my-first-order         # all that is left
python examples/staff/refund.py my-first-order 500 --key 1f0e…    # again, after an answer that was lost
"""

import argparse
import asyncio
import json
import os
import sys
import uuid
from typing import Any
from urllib.parse import quote

from aiohttp import ClientError, ClientResponse, ClientSession
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

TOPIC = "payments.events.v1"
OUTCOMES = ("payment.refunded", "payment.refund_failed", "payment.refund_needed")
TRIES, WITHIN = 5, 60
TOKEN = os.environ.get("ORDERBUS_API_TOKEN", "")


async def send(session: ClientSession, path: str, body: dict[str, Any], key: str) -> tuple[int, dict[str, Any]]:
    """A command, under one Idempotency-Key: sent again after a lost answer, it takes effect once. Keep the key with
    what it is for (a return, a ticket) if your program can be stopped meanwhile."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key}
    for attempt in range(TRIES):
        try:
            async with session.post(f"{os.environ['PAYMENTS_URL']}{path}", json=body, headers=headers) as answer:
                if answer.status not in (429, 502, 503, 504):  # busy, or starting
                    return answer.status, await contents(answer)
        except (ClientError, TimeoutError) as trouble:
            print(f"no answer: {type(trouble).__name__}", file=sys.stderr)  # its text may have the token
        await asyncio.sleep(2**attempt)
    sys.exit(f"It is not known whether the refund was accepted: send it again with --key {key}")


async def contents(answer: ClientResponse) -> dict[str, Any]:
    """What the API says; of something between you and it (a proxy), no more than its status."""
    try:
        found = json.loads(await answer.read())
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"title": f"HTTP {answer.status}", "code": "no_answer_of_the_api"}


async def outcome(events: AIOKafkaConsumer, command: str) -> tuple[str, dict[str, Any]]:
    """Of all that follows from a command, the event that says how it ended."""
    async for record in events:
        headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
        if headers.get("ce_correlationid") == command and headers.get("ce_type") in OUTCOMES:
            return headers["ce_type"], json.loads(record.value)
    raise AssertionError("a consumer reads for ever")


async def refund(session: ClientSession, events: AIOKafkaConsumer, order: str, amount: int | None, key: str) -> str:
    body = {} if amount is None else {"amount": amount}
    status, answer = await send(session, f"/orders/{quote(order)}/refund", body, key)
    if status != 202:  # refused, and nothing was changed: `code` for programs, `title` for people
        problems = [f"{it['field']}: {it['text']}" for it in answer.get("problems", ())]
        sys.exit("\n  ".join([f"refused: {answer['title']} ({answer['code']})", *problems]))
    print(f"accepted: {answer['id']}")  # it was decided; the provider may still refuse it
    if answer["duplicate"]:
        return "An earlier request had this key: its outcome is in the order's payment."
    try:
        async with asyncio.timeout(WITHIN):
            kind, event = await outcome(events, answer["id"])
    except TimeoutError:
        return "in progress: the order's payment (GET /orders/{key}/payment) says when it has ended"
    if kind == "payment.refund_failed":
        sys.exit(f"failed: {event['text']} ({event['code']})")
    if kind == "payment.refund_needed":
        return "by hand: the provider's API cannot make it; make it there, then settle it"
    return f"refunded: {event['amount']} {event['currency']} (minor units), {event['refunded']} in all"


async def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("order", help="the order's id")
    arguments.add_argument("amount", type=int, nargs="?", help="in minor units; all that is left without it")
    arguments.add_argument("--key", default=str(uuid.uuid4()), help="the Idempotency-Key of an earlier try")
    given = arguments.parse_args()
    if missing := [name for name in ("KAFKA", "PAYMENTS_URL") if name not in os.environ]:
        sys.exit(f'Missing: {", ".join(missing)}. Run `eval "$(orderbus env)"` first.')
    # It reads from now on, so it must be there before the command is sent.
    events = AIOKafkaConsumer(TOPIC, bootstrap_servers=os.environ["KAFKA"], auto_offset_reset="latest")
    try:
        await events.start()
    except KafkaError as trouble:
        await events.stop()
        sys.exit(f"Kafka at {os.environ['KAFKA']} cannot be reached ({type(trouble).__name__}). Nothing was sent.")
    try:
        for part in events.assignment():
            await events.seek_to_end(part)
            await events.position(part)
        async with ClientSession() as session:
            print(await refund(session, events, given.order, given.amount, given.key))
    finally:
        await events.stop()


if __name__ == "__main__":
    asyncio.run(main())
