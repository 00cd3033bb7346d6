"""What alerts and dashboard ask for is what a running orderbus serves, by its names and its labels."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.client.http import api_url
from deploy.devstack.stack import Stack
from services.monitor.settings import MonitorSection
from services.registry import PROCESSES
from tests.e2e.conversation import DECLINED_CARD, World, delivery_states, eventually

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
OF_THE_TARGET = {"job", "instance", "le"}
"""Given by Prometheus, or of every histogram."""
METRIC = re.compile(r"\b(?:orderbus|process)_\w+\b")


def expressions() -> Iterator[tuple[str, str]]:
    """Each with the texts that show its labels."""
    for group in yaml.safe_load((GRAFANA / "alerts.yaml").read_text())["groups"]:
        yield from ((rule["expr"], rule["annotations"]["summary"]) for rule in group["rules"])
    for panel in json.loads((GRAFANA / "orderbus.json").read_text())["panels"]:
        yield from ((target["expr"], target.get("legendFormat", "")) for target in panel.get("targets", ()))


def labels_by_metric(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Every metric, with the labels that select from it."""
    for name, _, selected in re.findall(r"\b((?:orderbus|process)_\w+)(\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selected))


def not_served(served: Mapping[str, set[str]]) -> list[str]:
    found = []
    for expression, text in expressions():
        asked = dict[str, set[str]]()
        for name, labels in labels_by_metric(expression):
            asked[name] = asked.get(name, set()) | labels
        found += [f"{name} {labels - served.get(name, set())}" for name, labels in asked.items() if name not in served]
        found += [f"{name} without {labels - served[name]}" for name, labels in asked.items() if name in served]
        named = {
            label for part in re.findall(r"(?:by|group_left) \(([^)]*)\)", expression) for label in part.split(", ")
        }
        named |= set(re.findall(r"\$labels\.(\w+)", text)) | set(re.findall(r"\{\{\s*(\w+)\s*\}\}", text))
        there = set[str]().union(*(served.get(name, set()) for name in asked))
        if asked and (missing := named - there - OF_THE_TARGET):
            found.append(f"{expression}: no {missing}")
    return [one for one in found if not one.endswith("without set()")]


async def test_every_metric_and_label_that_is_asked_for_is_served(world: World) -> None:
    found = dict[str, set[str]]()

    async def served() -> dict[str, set[str]]:
        """At any time until now: the monitor tells of the last minute alone."""
        for name in PROCESSES:
            with contextlib.suppress(aiohttp.ClientConnectionError):  # the monitor starts last
                async with world.browser.get(f"{api_url(world.settings, name)}/metrics") as answer:
                    for family in text_string_to_metric_families(await answer.text()):
                        for sample in family.samples:
                            found.setdefault(sample.name, set()).update(sample.labels)
        return found

    customer = world.customer("Mary Somerville")
    for _ in range(MonitorSection().unusual_declines):
        await customer.buys("atlas", card=DECLINED_CARD)
    order = await customer.buys("atlas", "print")
    await order.shows(lambda it: "waiting" in delivery_states(it), "the parcel that waits for staff")

    async def missing() -> list[str]:
        return not_served(await served())

    await eventually(missing, lambda found: not found, "all that rules and panels ask for", within=150)


async def test_a_database_that_is_away_is_seen_and_nothing_keeps_its_last_value(world: World, stack: Stack) -> None:
    async def said() -> tuple[float, float]:
        """Whether payments has its database, and how many messages it has parked."""
        async with world.browser.get(f"{api_url(world.settings, 'payments')}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
            samples = [sample for family in families for sample in family.samples]
        [ready] = [one for one in samples if one.name == "orderbus_ready" and one.labels["part"] == "database"]
        [parked] = [one for one in samples if one.name == "orderbus_parked"]
        return ready.value, parked.value

    await eventually(said, lambda found: found[0] == 1 and not math.isnan(found[1]), "a database that answers")
    await stack.postgres.stop()
    try:
        await eventually(said, lambda found: found[0] == 0 and math.isnan(found[1]), "a database that is away", 60)
    finally:
        await stack.postgres.start()
    await world.services.until_ready()
    await eventually(said, lambda found: found[0] == 1 and not math.isnan(found[1]), "its return", 60)


def test_what_is_missing_is_named() -> None:
    """Nothing is served, or nothing with a label."""
    names = {name for expression, _ in expressions() for name in METRIC.findall(expression)}
    assert len(names) > 40
    assert len(not_served({})) >= len(names)
    assert any("without {'part'}" in one for one in not_served({name: {"service", "worker"} for name in names}))
