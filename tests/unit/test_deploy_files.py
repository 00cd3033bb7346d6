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

import jsonschema
import pytest
import yaml
from prometheus_client import generate_latest
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from deploy.client.http import api_url
from deploy.settings import all_settings, database_of, load_all_settings, load_system_settings, system_settings
from services.declared import declared
from services.monitor.metrics import MonitorMetrics
from services.registry import PROCESSES, READERS, SERVICES, settings_of
from shared.settings import PREFIX, ServiceSettings, Settings, WrongSettings, fields_of, load_settings, name_of
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
    monitor.serve_orders(lambda: {"northwind": 1})
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
    load_settings(kind)


class TestCompose:
    @pytest.fixture
    def compose(self) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())
        return document

    def test_it_fits_the_specification(self, compose: dict[str, Any]) -> None:
        schema = json.loads((SCHEMAS / "compose-spec.json").read_text())
        jsonschema.validators.validator_for(schema)(schema).validate(compose)

    def test_every_service_has_two_workers_by_number(self, compose: dict[str, Any]) -> None:
        commands = [service["command"] for name, service in compose["services"].items() if name[-1].isdigit()]
        workers = [["run", name, "--worker", index] for name in SERVICES for index in ("0", "1")]
        assert commands == [*workers, *(["run", name, "--worker", "0"] for name in READERS)]

    @pytest.mark.parametrize("service", PROCESSES)
    def test_a_worker_gets_all_required_settings_and_no_others(self, compose: dict[str, Any], service: str) -> None:
        for name in (f"{service}-0", f"{service}-1")[: 1 if service in READERS else 2]:
            given = compose["services"][name]["environment"].keys()
            assert required(settings_of(service)) <= given <= known(settings_of(service)).keys()

    def test_a_process_takes_them(self, compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        tools = ("migrate", system_settings(tuple(SERVICES))), ("orderbus", all_settings())
        for name, kind in (*((f"{name}-0", settings_of(name)) for name in PROCESSES), *tools):
            given = {key: _interpolated(value) for key, value in compose["services"][name]["environment"].items()}
            loads(kind, given, monkeypatch)

    @pytest.mark.parametrize("service", SERVICES)
    def test_commands_about_a_service_start_in_its_workers(
        self, compose: dict[str, Any], service: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They speak HTTP with it. A command that needs the database of another one says so."""
        environment = compose["services"][f"{service}-0"]["environment"]
        loads(system_settings(), {key: _interpolated(value) for key, value in environment.items()}, monkeypatch)
        settings = load_system_settings()
        assert database_of(settings, service).startswith("postgresql://")
        other = next(name for name in SERVICES if name != service)
        with pytest.raises(WrongSettings, match=f"^ORDERBUS_{other.upper()}__DATABASE_URL: is missing"):
            database_of(settings, other)

    def test_operators_reach_every_service(self, compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        environment = compose["services"]["orderbus"]["environment"]
        loads(all_settings(), {key: _interpolated(value) for key, value in environment.items()}, monkeypatch)
        settings = load_all_settings()
        assert {api_url(settings, name) for name in PROCESSES} == {f"http://{name}-0:8080" for name in PROCESSES}

    def test_every_service_has_a_database_of_its_own(self, compose: dict[str, Any]) -> None:
        passwords = {f"{name.upper()}_DATABASE_PASSWORD" for name in SERVICES}
        assert {name for name in compose["services"]["postgres"]["environment"] if "DATABASE" in name} == passwords
        assert f"for service in {' '.join(SERVICES)};" in (DEPLOY / "compose/databases.sh").read_text()

    def test_the_example_names_every_variable_and_no_secret(self, compose: dict[str, Any]) -> None:
        text = (DEPLOY / "compose/compose.yaml").read_text()
        wanted = set(re.findall(r"\$\{([A-Z_]+)", text)) - {"ORDERBUS_VERSION"}
        lines = (DEPLOY / "compose/example.env").read_text().splitlines()
        example = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        assert example.keys() == wanted
        assert not any(value for name, value in example.items() if re.search("PASSWORD|SECRET|TOKEN|KEY", name))

    def test_images_are_pinned(self, compose: dict[str, Any]) -> None:
        images = {service["image"] for service in compose["services"].values()}
        assert all(re.search(r":[\w.${}:-]*\d", image) for image in images), images


def _interpolated(value: str) -> str:
    """As compose does it: the default if there is one, otherwise a value from the environment file."""
    return re.sub(r"\$\{[A-Z_]+(?::-([^}]*)|:\?[^}]*)\}", lambda match: match[1] or "a" * 20, value)


def resources() -> list[dict[str, Any]]:
    documents = [one for file in KUBERNETES for one in yaml.safe_load_all(file.read_text())]
    return [one for one in documents if one["kind"] != "Kustomization"]


def resource(kind: str, name: str) -> dict[str, Any]:
    return next(one for one in resources() if (one["kind"], one["metadata"]["name"]) == (kind, name))


class TestKubernetes:
    @pytest.mark.parametrize("resource", resources(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
    def test_every_resource_fits_kubernetes_schema(self, resource: dict[str, Any]) -> None:
        schema = json.loads((SCHEMAS / "kubernetes-1.37.json").read_text())
        kind = schema["kinds"][resource["kind"]]
        validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]})
        assert [error.message for error in validator.iter_errors(resource)] == []

    def test_the_kustomization_names_every_file_but_the_example(self) -> None:
        named_files = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())["resources"]
        assert sorted(named_files) == sorted(
            file.name for file in KUBERNETES if file.name not in ("kustomization.yaml", "secrets.example.yaml")
        )

    def test_kubectl_builds_it(self) -> None:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            pytest.skip("kubectl is not here: the kustomization was not built")
        built = subprocess.run(
            [kubectl, "kustomize", str(DEPLOY / "kubernetes")], check=True, capture_output=True, text=True
        )
        secrets = len(SERVICES) + 1
        assert len(list(yaml.safe_load_all(built.stdout))) == len(resources()) - secrets  # without the example's

    @pytest.mark.parametrize("service", PROCESSES)
    def test_a_pods_ordinal_is_its_workers_number(self, service: str) -> None:
        pod = resource("StatefulSet", service)["spec"]["template"]["spec"]
        [container] = pod["containers"]
        shell, flag, script = container["command"]
        told = subprocess.run(
            [shell, flag, script.replace("exec orderbus", "echo")],
            env={"HOSTNAME": f"{service}-7", "PATH": "/usr/bin:/bin"},
            check=True,
            capture_output=True,
            text=True,
        )
        assert told.stdout.split() == ["run", service, "--worker", "7"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/health"
        assert container["readinessProbe"]["httpGet"]["path"] == "/ready"

    @pytest.mark.parametrize("service", PROCESSES)
    def test_a_service_gets_all_required_settings_and_only_its_own_secrets(self, service: str) -> None:
        [container] = resource("StatefulSet", service)["spec"]["template"]["spec"]["containers"]
        given = resource("ConfigMap", "orderbus")["data"].keys() | {one["name"] for one in container["env"]}
        assert required(settings_of(service)) <= given <= known(settings_of(service)).keys()
        for one in container["env"]:
            if "valueFrom" in one:
                secret = one["valueFrom"]["secretKeyRef"]
                assert secret["name"] in ("orderbus", f"orderbus-{service}")
                assert secret["key"] in resource("Secret", secret["name"])["stringData"]

    @pytest.mark.parametrize("service", PROCESSES)
    def test_a_process_takes_them(self, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
        loads(settings_of(service), _given(resource("StatefulSet", service)), monkeypatch)

    def test_the_migration_takes_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loads(system_settings(tuple(SERVICES)), _given(resource("Job", "orderbus-migrate")), monkeypatch)

    def test_operators_reach_every_service(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loads(all_settings(), _given(resource("StatefulSet", "tools")), monkeypatch)
        settings = load_all_settings()
        assert {api_url(settings, name) for name in PROCESSES} == {f"http://{name}:8080" for name in PROCESSES}
        assert {name for name in PROCESSES if resource("Service", name)["spec"]["ports"][0]["port"] == 8080} == {
            *PROCESSES
        }

    @pytest.mark.parametrize("service", [*PROCESSES, "tools"])
    def test_nothing_runs_as_root(self, service: str) -> None:
        pod = resource("StatefulSet", service)["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]


def _given(controller: dict[str, Any]) -> dict[str, str]:
    """The environment of its pods."""
    [container] = controller["spec"]["template"]["spec"]["containers"]
    given: dict[str, str] = dict(resource("ConfigMap", "orderbus")["data"])
    for one in container["env"]:
        source = one.get("valueFrom", {}).get("secretKeyRef")
        given[one["name"]] = resource("Secret", source["name"])["stringData"][source["key"]] if source else one["value"]
    return given


class TestOperationsPage:
    page = DOCS / "operations.md"

    def test_its_settings_are_those_of_the_code(self) -> None:
        assert settings_table() in self.page.read_text(), f"put this into {self.page.name}:\n{settings_table()}"


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
