"""What is deployed fits the code: dashboard and alerts name metrics that exist, manifests settings that exist.

No image is built and nothing is applied here: that needs Docker and a cluster.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from prometheus_client import generate_latest
from pydantic import SecretStr, TypeAdapter
from pydantic.fields import FieldInfo

from deploy.settings import all_settings
from services.declared import declared
from services.monitor.domain.figures import OrderFigures
from services.monitor.domain.picture import Picture, SeenOrder
from services.monitor.domain.unusual import Limits, Source
from services.monitor.metrics import MonitorMetrics
from services.registry import PROCESSES
from shared.settings import PREFIX, ServiceSettings, Settings, fields_of, load_settings, name_of
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import Progress
from shared.shell.ports.attention import Attention

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCS = Path(__file__).parents[2] / "docs"
SCHEMAS = Path(__file__).parent / "deploy_schemas"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def served() -> set[str]:
    """Names of all samples at `/metrics`."""
    gauges = [(gauge.name, gauge.text) for service in declared().values() for gauge in service.gauges]
    metrics = Metrics("checkout", "checkout-0", gauges, Progress())
    metrics.serve_ready(("database",), list)
    metrics.attention.set([Attention("parked", "o-1", datetime.now(UTC), "", "")])
    metrics.watch_process()
    metrics.operation("ChargeCard", "done", 0.1)
    monitor = MonitorMetrics("monitor-0", lag=lambda: 0, kept=lambda: 0, starts=lambda: 1)
    monitor.serve_ready(list)
    monitor.serve_figures(lambda: {"northwind": {("orders", ""): 1, ("paid", ""): 1, ("revenue", "EUR"): 500}})
    picture = Picture(1000, Limits(60, 1, 1, 1))
    picture.order("o-1", 1, SeenOrder(1, OrderFigures("northwind", 1), (Source("mail", b"1"),)))
    picture.alerts.look(1)
    monitor.serve_alerts(picture.alerts, ())
    lines = [line for one in (metrics, monitor) for line in generate_latest(one.registry).decode().splitlines()]
    return {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}


def named(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:orderbus|process)_[a-z_]+", expression))


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DEPLOY / "grafana/orderbus.json").read_text())
    return document


def alerts() -> list[dict[str, Any]]:
    document = yaml.safe_load((DEPLOY / "grafana/alerts.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


class TestDashboard:
    def test_every_metric_exists(self) -> None:
        expressions = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
        assert len(expressions) > 20
        assert set().union(*map(named, expressions)) <= served()

    def test_everything_that_is_measured_is_shown(self) -> None:
        shown = set().union(
            *(named(target["expr"]) for panel in dashboard()["panels"] for target in panel.get("targets", ()))
        )
        measured = {name for name in served() if name.startswith("orderbus") and not name.endswith("_created")}
        stems = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
        assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in measured} <= stems

    def test_panels_have_places_and_ids_of_their_own(self) -> None:
        panels = dashboard()["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        taken = [
            (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
            for panel in panels
            for dx in range(panel["gridPos"]["w"])
            for dy in range(panel["gridPos"]["h"])
        ]
        assert len(taken) == len(set(taken))
        assert all(x < 24 for x, _ in taken)


def test_prometheus_is_shown_a_worker_of_every_process() -> None:
    document = yaml.safe_load((DEPLOY / "grafana/prometheus.example.yaml").read_text())
    targets = [
        one for job in document["scrape_configs"] for config in job["static_configs"] for one in config["targets"]
    ]
    assert {target.rsplit("-", 1)[0] for target in targets} == set(PROCESSES)


class TestAlerts:
    def test_every_metric_exists(self) -> None:
        assert set().union(*(named(rule["expr"]) for rule in alerts())) <= served()

    def test_what_must_not_go_unnoticed_has_an_alert(self) -> None:
        watched = set().union(*(named(rule["expr"]) for rule in alerts()))
        assert watched >= {
            "orderbus_outbox_age_seconds",
            "orderbus_undeliverable",
            "orderbus_topics_held_up",
            "orderbus_progress_age_seconds",
            "orderbus_lag_seconds",
            "orderbus_ready",
            "orderbus_attention",
            "orderbus_parked",
            "orderbus_operations_late",
            "orderbus_operations_in_doubt",
            "orderbus_destinations_paused",
            "orderbus_orders_paid_unfinished_overdue",
            "orderbus_refunds_owed",
        }

    def test_each_says_what_to_do(self) -> None:
        page = (DOCS / "alerts.md").read_text()
        for rule in alerts():
            assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
            assert rule["labels"]["severity"] in ("critical", "warning")
            assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"
            assert f"## {rule['alert']}\n" in page

    def test_prometheus_takes_the_rules(self) -> None:
        promtool = shutil.which("promtool")
        if promtool is None:
            pytest.skip("promtool is not here: the rules were only checked for their structure and metrics")
        rules = str(DEPLOY / "grafana/alerts.yaml")
        done = subprocess.run([promtool, "check", "rules", rules], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def known(kind: type[Settings]) -> dict[str, FieldInfo]:
    """Every setting by its name in the environment."""
    return {name_of(path): field for path, field in fields_of(kind)}


def required(kind: type[Settings]) -> set[str]:
    return {name for name, field in known(kind).items() if field.is_required()}


def loads(kind: type[Settings], given: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a process with this environment takes its settings."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    load_settings(kind, all_settings())


class TestPages:
    def test_settings_are_those_of_the_code(self) -> None:
        page = DOCS / "settings.md"
        assert settings_table() in page.read_text(), f"put this into {page.name}:\n{settings_table()}"

    def test_an_operators_page_is_short(self) -> None:
        assert len((DOCS / "operations.md").read_text().splitlines()) <= 300

    def test_connections_are_those_of_the_code(self) -> None:
        needed = ServiceSettings(database_url=SecretStr("postgresql://u@h/d")).connections()
        text = (DOCS / "operations.md").read_text()
        assert f"\n| a worker | `POOL` + `READ_POOL` + 1 | {needed} |\n" in text
        assert f"\n| 3 workers | 3 × that | {3 * needed} |\n" in text


def settings_table() -> str:
    """Every setting, its default and what it is for, as a table of the page."""
    lines = ["| setting | default | what it is |", "|---|---|---|"]
    lines += [_row(name_of(path), field) for path, field in fields_of(Settings)]
    lines += [_row(name_of(("<service>", *path)), field) for path, field in fields_of(ServiceSettings)]
    of_all = [(path, field) for path, field in fields_of(all_settings()) if path not in dict(fields_of(Settings))]
    of_every_service = dict(fields_of(ServiceSettings))
    lines += [
        _row(name_of(path), field)
        for path, field in of_all
        if not (path[0] in PROCESSES and path[1:] in of_every_service)
    ]
    return "\n".join(lines)


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{name}` | {_default(field)} | {_meaning(field)} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    default = field.default
    if default is None:
        return ""
    return f"`{TypeAdapter(type(default)).dump_python(default, mode='json')}`".replace("False", "false")


def _meaning(field: FieldInfo) -> str:
    choices = get_args(field.annotation) if "Literal" in str(field.annotation) else ()
    said = " ".join((field.description or "").split())
    return " ".join(part for part in (", ".join(f"`{choice}`" for choice in choices), said) if part)
