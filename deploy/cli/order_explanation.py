"""Why an order is where it is: what each service says of it, and what waits there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploy.cli.console import day_and_clock
from deploy.client.http import ApiClient

Body = Mapping[str, Any]
ASKED = ("checkout", "payments", "fulfillment", "notifications")


async def explained(api: ApiClient, number: str) -> dict[str, Any]:
    """`order`: its id, number and status; `services`: what each says. One of an older build says nothing: null."""
    found = await api.order(number)
    key = found["key"]
    said = await asyncio.gather(*(api.part(service, f"/orders/{key}/explain") for service in ASKED))
    head = {name: found[name] for name in ("key", "number", "status")}
    return {"order": head, "services": dict(zip(ASKED, said, strict=True))}


def lines(explanation: Body) -> list[str]:
    order, services = explanation["order"], explanation["services"]
    found = [f"{order['number']}  {order['status']}"]
    says = (services.get("checkout") or {}).get("says")
    if says:
        found += [*_said(says)]
    for service, one in services.items():
        if one is None:
            found.append(f"{service}: says nothing, for its build is an older one.")
        else:
            own = () if service == "checkout" else _also_said(one["says"])
            found += [f"{service}: {line}" for line in (*own, *_of_service(one))]
    return found if len(found) > 1 else [*found, "Nothing waits."]


def _said(says: Body) -> Iterator[str]:
    if says["why"]:
        yield f"  because   {says['why']}"
    for wait in says["waits"]:
        yield f"  waits     {wait['who']}: {wait['what']}{_until(wait)}"
    if says["following"]:
        yield f"  next      {', '.join(says['following'])}"
    may = [one["command"] for one in says["commands"] if one["possible"]]
    if may:
        yield f"  you may   {', '.join(may)}"
    for one in says["commands"]:
        if not one["possible"]:
            yield f"  not now   {one['command']}: {one['why_not']}"


def _also_said(says: Body | None) -> Iterator[str]:
    if says is None:
        return
    yield from (f"waits for {wait['who']}: {wait['what']}{_until(wait)}" for wait in says["waits"])
    if may := [each["command"] for each in says["commands"] if each["possible"]]:
        yield f"you may {', '.join(may)}"


def _of_service(one: Body) -> Iterator[str]:
    for call in one["operations"]:
        yield f"{call['kind']} to {call['destination']}, {_state(call)}{_error(call['error'])}"
    for timer in one["timers"]:
        yield f"{timer['type']} at {day_and_clock(timer['due'])}"
    parked: Sequence[Body] = one["parked"]
    for message in parked:
        yield f"{message['type']} is parked ({message['reason']}){_error(message['error'])}"


def _until(wait: Body) -> str:
    return f" Until {day_and_clock(wait['until'])}." if wait["until"] else ""


def _state(call: Body) -> str:
    if call["under_way"]:
        return "is being made"
    if call["paused"]:
        return f"paused: {call['paused']}"
    return f"next try {day_and_clock(call['next_try'])} after {call['attempts']}"


def _error(text: str) -> str:
    return f": {text}" if text else ""
