"""`orderbus publish`: checkout messages from a file, validated, then published as a storefront would."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from deploy.cli import console
from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop, stop_event
from deploy.cli.options import AsJson, Data, IdempotencyKey
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.published import Limits, Outcomes, Reader, answers, follow, show_refusals
from deploy.cli.target import settings_of
from deploy.cli.unknown_names import unknown_names
from deploy.client.http import OutcomeUnknown
from deploy.client.storefront import REFUSED, KafkaUnreachable, Published, Storefront, uuid7
from shared.contracts import storefront
from shared.contracts.envelope import BadBody, decode, read_key
from shared.core import MESSAGES, Message
from shared.core.ids import effect_id, hashed_id, time_of, uuid_from
from shared.settings import KafkaSettings

FIELDS = {"type", "order", "data"}


@dataclass(frozen=True)
class Entry:
    order: str
    message: Message


@on_event_loop
async def publish(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file of JSON or JSON lines; - for standard input.")],
    following: Annotated[
        bool,
        typer.Option(
            "--follow", help="Show each new status of the orders, and what they wait for, until they come to an end."
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", min=0, help="With --follow: exit with 124 after so many seconds."),
    ] = None,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Publish checkout messages from a file.

    FILE holds objects {"type", "order", "data"}: a single one, an array, or one per line. `type` is checkout.opened,
    checkout.submitted, checkout.payment_retried, checkout.abandoned or checkout.asked; `order` is the id that the
    storefront chose.
    All messages are checked first: if any is invalid, nothing is published. Checkout may still refuse one, such as a
    second submission: its answer is awaited for 5 seconds, and shown. A warning names the stores and SKUs that checkout
    does not know. With --follow the exit code is 1 if a message was refused, and 124 if the time of --timeout was over
    before: the orders go on.

    docs/messages has a page per type with its fields and an example. `orderbus shop --cards` lists the sandbox's cards.
    """
    if timeout is not None and not following:
        raise UsageError("--timeout needs --follow: without it the answer is awaited for 5 seconds.")
    entries = checked(read(file))
    settings = settings_of(data)
    attempt = Attempt("all messages were published", "orderbus orders", new_key(idempotency_key or str(uuid7())))
    async with Reader(settings.kafka) as reader:
        sent = await _published(settings.kafka, entries, attempt)
        outcomes = Outcomes({at.id: entry.order for entry, at in zip(entries, sent, strict=True)})
        _, warnings = await asyncio.gather(
            answers(reader, outcomes), unknown_names(settings, [entry.message for entry in entries])
        )
        rows = _rows(entries, sent)
        if as_json:
            refused = [{"id": id, **body} for id, body in outcomes.refused.items()]
            console.show_json({"published": rows, "refused": refused, "warnings": warnings}, line=following)
        else:
            _show(rows, outcomes, warnings, reader.trouble)
        if following and reader.trouble:
            first = entries[0].order
            raise Failure(f"All were published, but not followed: {reader.trouble} To go on: orderbus order {first}")
        if following:
            await follow(reader, outcomes, stop_event(), Limits(timeout), as_json=as_json)
    if following and outcomes.refused:
        raise typer.Exit(1)


def _rows(entries: Sequence[Entry], sent: Sequence[Published]) -> list[dict[str, Any]]:
    return [
        {"order": entry.order, "type": entry.message.type, "id": at.id, "partition": at.partition, "offset": at.offset}
        for entry, at in zip(entries, sent, strict=True)
    ]


def _show(rows: Sequence[dict[str, Any]], outcomes: Outcomes, warnings: Sequence[str], trouble: str) -> None:
    for row in rows:
        console.say(
            f"Published {row['type']} for {row['order']} (partition {row['partition']}, offset {row['offset']})."
        )
    for warning in warnings:
        console.say(f"Warning: {warning}")
    show_refusals(outcomes)
    if trouble:
        console.say(f"Whether checkout refuses them cannot be read: {trouble}")
    elif outcomes.unanswered:
        console.say(f"Checkout has not answered yet. It does once it runs: orderbus order {rows[0]['order']}")


async def _published(settings: KafkaSettings, entries: Sequence[Entry], attempt: Attempt) -> list[Published]:
    by_order: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        by_order.setdefault(entry.order, []).append(index)
    sent: dict[int, Published] = {}
    async with Storefront(settings) as shop:

        async def send(indices: list[int]) -> None:
            for index in indices:
                entry = entries[index]
                sent[index] = await shop.publish(entry.message, entry.order, identity=message_id(attempt.key, index))

        with attempt.reported():
            try:
                await asyncio.gather(*(send(indices) for indices in by_order.values()))
            except KafkaUnreachable as trouble:
                if len(entries) == 1 and isinstance(trouble.__cause__, REFUSED):
                    raise
                raise OutcomeUnknown(trouble, attempt.key) from trouble
    return [sent[index] for index in range(len(entries))]


def message_id(key: str, index: int) -> UUID:
    """The id of a message of a file: the same whenever the file is published under the same key."""
    named = uuid_from(key)
    return effect_id(named if named and time_of(named) else hashed_id(key), "publish", index)


def read(file: str) -> list[tuple[str, Any]]:
    """The file's objects, each with its line or number. Raises UsageError."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except OSError as trouble:
        raise UsageError(f"{file} cannot be read: {trouble.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8.") from None
    try:
        whole = json.loads(text)
    except RecursionError:
        raise UsageError(f"{file} is nested too deeply.") from None
    except ValueError:
        return list(_lines(text))
    return (
        [(f"entry {number}", entry) for number, entry in enumerate(whole, 1)]
        if isinstance(whole, list)
        else [("entry 1", whole)]
    )


def _lines(text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except ValueError as wrong:
                yield f"line {number}", wrong
            except RecursionError:
                yield f"line {number}", ValueError("it is nested too deeply")


def checked(found: Sequence[tuple[str, Any]]) -> list[Entry]:
    """Every entry as a message. Raises UsageError with all problems of all entries."""
    entries: list[Entry] = []
    problems: list[str] = []
    for place, given in found:
        entry, wrong = _entry(given)
        problems += [f"{place}: {problem}" for problem in wrong]
        if entry:
            entries.append(entry)
    if problems:
        raise UsageError("Nothing was published:\n" + "\n".join(problems))
    if not entries:
        raise UsageError("The file contains no messages.")
    return entries


def _entry(given: Any) -> tuple[Entry | None, list[str]]:
    if isinstance(given, ValueError):
        return None, [f"is not JSON: {given}"]
    if not isinstance(given, dict):
        return None, ['is not an object {"type", "order", "data"}']
    problems = [f"unknown field {name!r}" for name in sorted(given.keys() - FIELDS)]
    problems += [f"{name} is missing" for name in sorted(FIELDS - given.keys())]
    kinds = {kind.type: kind for kind in MESSAGES.values() if kind.topic is storefront.CHECKOUTS}
    kind = kinds.get(str(given.get("type")))
    if kind is None and "type" in given:
        problems.append(f"type: unknown type {str(given['type'])[:60]!r}; expected one of {', '.join(sorted(kinds))}")
    order = given.get("order", "")
    wrong_key = read_key(order.encode("utf-8", "replace"))[1] if isinstance(order, str) else "is not text"
    if wrong_key and "order" in given:
        problems.append(f"order: {wrong_key}")
    if kind is None or "data" not in given:
        return None, problems
    try:
        message = decode(kind, json.dumps(given["data"]).encode())
    except BadBody as wrong:
        return None, problems + [
            f"data.{one.field}: {one.text}" if one.field else f"data: {one.text}" for one in wrong.problems
        ]
    return (None, problems) if problems else (Entry(order, message), [])
