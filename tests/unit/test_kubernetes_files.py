"""The Kubernetes manifests fit the schema, the code and each other. Nothing is applied: that needs a cluster."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.client.http import api_url
from deploy.settings import check_settings, load_check_settings, mail_settings, system_settings
from services.declared import declared
from services.monitor.records import TOPICS as READ_BY_MONITOR
from services.registry import PROCESSES, SERVICES, settings_of
from shared.contracts import TOPICS
from shared.shell.shell import DRAIN_SECONDS
from tests.unit.test_deploy_files import DEPLOY, SCHEMAS, known, loads, named, required, served

FOLDER = DEPLOY / "kubernetes"
OF_OPERATORS = ("PodMonitor", "ScaledObject")
"""Kinds that a cluster has only with the operators of Prometheus and KEDA."""
COMPONENTS = ("monitoring", "scaling")
REQUESTS_SECONDS = 5.0
"""By when requests in progress are ended (`shared/shell/http/server.py`)."""


def documents(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("*.yaml")):
        if file.name != "kustomization.yaml":
            yield from yaml.safe_load_all(file.read_text())


def resources() -> list[dict[str, Any]]:
    """Those of the kustomization, its components and the example of the secrets, as they stand there."""
    return [one for folder in (FOLDER, *(FOLDER / name for name in COMPONENTS)) for one in documents(folder)]


def shared_settings() -> dict[str, str]:
    lines = (FOLDER / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def resource(kind: str, name: str) -> dict[str, Any]:
    return next(one for one in resources() if (one["kind"], one["metadata"]["name"]) == (kind, name))


def named_like(kind: str) -> set[str]:
    return {one["metadata"]["name"] for one in resources() if one["kind"] == kind}


def pod(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = resource(kind, name)["spec"]["template"]["spec"]
    return found


def pods() -> list[tuple[str, dict[str, Any]]]:
    return [
        (one["metadata"]["name"], one["spec"]["template"]["spec"])
        for one in resources()
        if one["kind"] in ("StatefulSet", "Job")
    ]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def given(container: dict[str, Any]) -> dict[str, str]:
    """Its environment."""
    found = shared_settings()
    for one in container["env"]:
        source = one.get("valueFrom", {}).get("secretKeyRef")
        found[one["name"]] = resource("Secret", source["name"])["stringData"][source["key"]] if source else one["value"]
    return found


@pytest.fixture
def built(tmp_path: Path) -> Any:
    """What kustomize makes of a copy, after a change to it."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not here: the kustomization was not built")

    def build(file: str = "", before: str = "", after: str = "") -> list[dict[str, Any]]:
        folder = tmp_path / f"copy of {file} {after}".replace("/", "-")
        shutil.copytree(FOLDER, folder)
        if file:
            text = (folder / file).read_text()
            assert before in text
            (folder / file).write_text(text.replace(before, after))
        done = subprocess.run([kubectl, "kustomize", str(folder)], check=True, capture_output=True, text=True)
        return list(yaml.safe_load_all(done.stdout))

    return build


@pytest.mark.parametrize("resource", resources(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_every_resource_fits_kubernetes_schema(resource: dict[str, Any]) -> None:
    if resource["kind"] in OF_OPERATORS:
        pytest.skip(f"{resource['kind']} belongs to an operator: its schema is not Kubernetes'")
    schema = json.loads((SCHEMAS / "kubernetes-1.37.json").read_text())
    kind = schema["kinds"][resource["kind"]]
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]})
    assert [error.message for error in validator.iter_errors(resource)] == []


class TestKustomization:
    def test_it_names_every_file_but_the_example(self) -> None:
        for folder in (FOLDER, *(FOLDER / name for name in COMPONENTS)):
            files = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml", "secrets.example.yaml"}
            assert set(yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]) == files

    def test_it_is_built(self, built: Any) -> None:
        secrets, optional = len(named_like("Secret")), len(SERVICES) + 1
        whole = len(resources()) - secrets + 1  # without the example's, with the settings
        assert len(built()) == whole - optional
        commented = "components: []\n  # - monitoring\n  # - scaling\n"
        more = built("kustomization.yaml", commented, "components: [monitoring, scaling]\n")
        assert len(more) == whole

    def test_changed_settings_roll_the_pods(self, built: Any) -> None:
        """By the name of the ConfigMap, which is that of its contents."""

        def templates(documents: list[dict[str, Any]]) -> dict[str, str]:
            return {
                one["metadata"]["name"]: json.dumps(one["spec"]["template"])
                for one in documents
                if one["kind"] == "StatefulSet"
            }

        before, after = templates(built()), templates(built("settings.env", "PARTITIONS=12", "PARTITIONS=24"))
        assert before.keys() == {*PROCESSES, "tools"}
        assert all(before[name] != after[name] for name in before)
        assert templates(built("settings.env", "PARTITIONS=12", "PARTITIONS=12")) == before

    def test_a_digest_reaches_every_pod(self, built: Any) -> None:
        digest = "sha256:" + "ab" * 32
        found = built("kustomization.yaml", "    newTag: 0.1.0\n", f"    digest: {digest}\n")
        images = [
            container["image"]
            for one in found
            if one["kind"] in ("StatefulSet", "Job")
            for container in containers(one["spec"]["template"]["spec"])
        ]
        assert len(images) == len(PROCESSES) + len(SERVICES) + 2
        assert set(images) == {f"orderbus@{digest}"}


class TestReferences:
    """What a resource names exists."""

    def test_secrets_and_settings(self) -> None:
        generated = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"]
        for name, one in pods():
            for container in containers(one):
                assert [each["configMapRef"]["name"] for each in container["envFrom"]] == [generated[0]["name"]]
                assert given(container), name

    def test_paths_from_the_internet(self) -> None:
        rules = resource("Ingress", "orderbus-public")["spec"]["rules"]
        paths = [path for rule in rules for path in rule["http"]["paths"]]
        to = {path["path"]: path["backend"]["service"] for path in paths}
        assert {path: service["name"] for path, service in to.items()} == {
            "/stripe/webhook": "payments",
            "/pay/": "payments",
            "/downloads/": "fulfillment",
        }
        for service in to.values():
            ports = resource("Service", service["name"])["spec"]["ports"]
            assert service["port"]["name"] in {port["name"] for port in ports}
        [container] = pod("StatefulSet", "fulfillment")["containers"]
        public = given(container)["ORDERBUS_FULFILLMENT__PUBLIC_URL"]
        assert public == f"https://{rules[1]['host']}"

    def test_labels_that_select_pods(self) -> None:
        labels = [one["spec"]["template"]["metadata"]["labels"] for one in resources() if one["kind"] == "StatefulSet"]
        for one in resources():
            spec = one.get("spec", {})
            selectors = [spec.get("podSelector"), spec.get("selector")]
            if one["kind"] == "Service":
                selectors = [{"matchLabels": spec["selector"]}]
            for selector in filter(None, selectors):
                assert any(selector["matchLabels"].items() <= each.items() for each in labels), one["metadata"]
                for each in selector.get("matchExpressions", ()):
                    assert set(each["values"]) <= {*PROCESSES, "tools"}

    def test_what_is_watched(self) -> None:
        spec = resource("PodMonitor", "orderbus")["spec"]
        [endpoint] = spec["podMetricsEndpoints"]
        for name in PROCESSES:
            [container] = pod("StatefulSet", name)["containers"]
            assert endpoint["port"] in {port["name"] for port in container["ports"]}
            labels = resource("StatefulSet", name)["spec"]["template"]["metadata"]["labels"]
            assert labels[spec["jobLabel"]] == "orderbus"  # the job of rules and dashboard

    @pytest.mark.parametrize("service", SERVICES)
    def test_what_is_scaled(self, service: str) -> None:
        spec = resource("ScaledObject", service)["spec"]
        assert spec["scaleTargetRef"]["name"] in named_like(spec["scaleTargetRef"]["kind"])
        [trigger] = spec["triggers"]
        assert named(trigger["metadata"]["query"]) <= served()
        assert f'service="{service}"' in trigger["metadata"]["query"]
        partitions = int(shared_settings()["ORDERBUS_KAFKA__PARTITIONS"])
        assert spec["minReplicaCount"] <= spec["maxReplicaCount"] <= partitions


class TestWorkers:
    @pytest.mark.parametrize("service", PROCESSES)
    def test_a_pods_ordinal_is_its_workers_number(self, service: str) -> None:
        [container] = pod("StatefulSet", service)["containers"]
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
    def test_it_gets_all_required_settings_and_only_its_own_secrets(self, service: str) -> None:
        for container in containers(pod("StatefulSet", service)):
            names = given(container).keys()
            assert names <= known(settings_of(service)).keys()
            for one in container["env"]:
                if "valueFrom" in one:
                    assert one["valueFrom"]["secretKeyRef"]["name"] in ("orderbus", f"orderbus-{service}")
        assert required(settings_of(service)) <= names

    @pytest.mark.parametrize("service", PROCESSES)
    def test_it_takes_them(self, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
        [container] = pod("StatefulSet", service)["containers"]
        loads(settings_of(service), given(container), monkeypatch)

    @pytest.mark.parametrize("service", SERVICES)
    def test_it_waits_for_its_schema(self, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
        [container] = pod("StatefulSet", service)["initContainers"]
        command, name, option, seconds = container["args"]
        assert (command, name, option) == ("migrate", service, "--wait")
        assert int(seconds) > 60
        loads(system_settings((service,)), given(container), monkeypatch)

    @pytest.mark.parametrize("service", PROCESSES)
    def test_it_has_time_to_finish(self, service: str) -> None:
        """Balancers notice, requests and downloads end, the batch and its calls, the outbox."""
        one = pod("StatefulSet", service)
        waits = one["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert waits >= 5
        assert one["terminationGracePeriodSeconds"] >= waits + REQUESTS_SECONDS + 2 * DRAIN_SECONDS + 10

    def test_the_migration_takes_its_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        [container] = pod("Job", "orderbus-migrate")["containers"]
        loads(system_settings(tuple(SERVICES)), given(container), monkeypatch)

    def test_pods_are_confined_and_ask_for_what_they_need(self) -> None:
        for name, one in pods():
            assert one["securityContext"]["runAsNonRoot"], name
            assert not one["automountServiceAccountToken"]
            for container in containers(one):
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }
                assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
                assert "memory" in container["resources"]["limits"]

    def test_only_fulfillment_writes_outside_of_memory(self) -> None:
        for name, spec in pods():
            kept = {one["name"]: one for one in spec.get("volumes", ()) if "persistentVolumeClaim" in one}
            places = [
                (container["name"], mount["mountPath"], mount.get("readOnly", False))
                for container in containers(spec)
                for mount in container.get("volumeMounts", ())
                if mount["name"] in kept
            ]
            own = [("fulfillment", "/files", False)] if name == "fulfillment" else []
            assert places == own, name
        [container] = pod("StatefulSet", "fulfillment")["containers"]
        assert given(container)["ORDERBUS_FULFILLMENT__FILES"] == "/files"

    def test_one_at_a_time_is_evicted(self) -> None:
        assert named_like("PodDisruptionBudget") == {*SERVICES}


class TestToolbox:
    def test_it_reaches_every_service_and_reads_every_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        [container] = pod("StatefulSet", "tools")["containers"]
        loads(check_settings(), given(container), monkeypatch)
        settings = load_check_settings()
        assert {api_url(settings, name) for name in PROCESSES} == {f"http://{name}:8080" for name in PROCESSES}
        assert {*PROCESSES} <= named_like("Service")

    def test_its_roles_are_not_those_of_the_workers(self) -> None:
        [container] = pod("StatefulSet", "tools")["containers"]
        mine = given(container)
        for name in SERVICES:
            setting = f"ORDERBUS_{name.upper()}__DATABASE_URL"
            [worker] = pod("StatefulSet", name)["containers"]
            assert mine[setting].rpartition("/")[2] == given(worker)[setting].rpartition("/")[2]
            assert "//orderbus_check:" in mine[setting]

    def test_it_has_no_secret_that_check_does_not_need(self) -> None:
        [container] = pod("StatefulSet", "tools")["containers"]
        assert given(container).keys() <= {*known(check_settings()), *known(mail_settings())}
        assert {name for name in given(container) if name.endswith("_SECRET")} == {"ORDERBUS_STRIPE__WEBHOOK_SECRET"}


class TestNetwork:
    def test_only_two_services_are_reached_from_the_ingress(self) -> None:
        open_to = []
        for one in resources():
            for rule in one["spec"].get("ingress", ()) if one["kind"] == "NetworkPolicy" else ():
                assert all("from" in rule and each for each in rule["from"]), one["metadata"]["name"]
                if {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}} in rule["from"]:
                    [expression] = one["spec"]["podSelector"]["matchExpressions"]
                    open_to += expression["values"]
        assert open_to == ["payments", "fulfillment"]

    def test_workers_do_not_reach_each_other(self) -> None:
        for one in resources():
            if one["kind"] == "NetworkPolicy":
                sources = [each for rule in one["spec"].get("ingress", ()) for each in rule["from"]]
                assert {"podSelector": {}} not in sources


class TestPermissions:
    """The example of Kafka's permissions is what services read and write."""

    @pytest.fixture
    def granted(self, tmp_path: Path) -> set[tuple[str, str, str]]:
        (tmp_path / "kafka-acls.sh").write_text('#!/bin/sh\necho "$@"\n')
        (tmp_path / "kafka-acls.sh").chmod(0o755)
        done = subprocess.run(
            ["sh", str(DEPLOY / "kafka/acls.sh")],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "BOOTSTRAP": "kafka:9092", "ADMIN": "admin.properties"},
            check=True,
            capture_output=True,
            text=True,
        )
        found = set()
        for line in done.stdout.splitlines():
            [user] = re.findall(r"User:(\w+)", line)
            thing = re.findall(r"--(?:topic|group|transactional-id) (\S+)|--(cluster)", line)[0]
            found |= {(user, operation, thing[0] or thing[1]) for operation in re.findall(r"--operation (\w+)", line)}
        return found

    @pytest.mark.parametrize("service", SERVICES)
    def test_topics(self, granted: set[tuple[str, str, str]], service: str) -> None:
        topics, own = {topic.name for topic in TOPICS}, declared()[service]

        def of(operation: str) -> set[str]:
            return {thing for user, allowed, thing in granted if (user, allowed) == (service, operation)} & topics

        shown = own.projection.topics() if own.projection else ()
        assert of("Read") == {topic.name for topic in (*own.consumes, *shown)}
        copies = f"{service}.commands.v1"  # of what comes over HTTP
        assert of("Write") == {topic.name for topic in own.emits} | {copies}
        assert of("Describe") == of("DescribeConfigs") == of("Create") == topics
        for operation in ("Describe", "DescribeConfigs", "Create", "Write"):
            assert (service, operation, f"{service}.dead-letter.v1") in granted
        assert {(service, "Read", service), (service, "Write", f"orderbus-{service}-relay")} <= granted
        assert (service, "IdempotentWrite", "cluster") in granted

    def test_readers_write_nothing(self, granted: set[tuple[str, str, str]]) -> None:
        for user in ("monitor", "tools"):
            assert not {thing for name, operation, thing in granted if (name, operation) == (user, "Write")}
        assert {("tools", "Read", topic.name) for topic in TOPICS} <= granted
        assert {("monitor", "Read", topic) for topic in READ_BY_MONITOR} <= granted
