"""The files for Compose fit its specification, the code and each other. No container is started: that needs Docker."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.client.http import api_url
from deploy.settings import (
    check_settings,
    database_of,
    load_check_settings,
    load_system_settings,
    mail_settings,
    system_settings,
)
from services.registry import PROCESSES, READERS, SERVICES, settings_of
from shared.settings import ServiceSettings, WrongSettings
from tests.unit.test_deploy_files import DEPLOY, SCHEMAS, known, loads, required

FOLDER = DEPLOY / "compose"
FROM_OUTSIDE = {
    "stripe-api-key": "sk_test_of_the_shop",
    "stripe-webhook-secret": "whsec_abc",
    "smtp-password": "secret",
}
SUPERUSER_CONNECTIONS = 3
OF_COMMANDS = 20


@pytest.fixture
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return document


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """As `secrets.sh` makes them, and those from outside."""
    folder = tmp_path / "secrets"
    done = subprocess.run(["sh", str(FOLDER / "secrets.sh"), str(folder)], check=True, capture_output=True, text=True)
    assert {line.rpartition("/")[2] for line in done.stdout.splitlines()} == FROM_OUTSIDE.keys()
    for name, text in FROM_OUTSIDE.items():
        (folder / name).write_text(f"{text}\n")
    return folder


def given(service: dict[str, Any], secrets: Path) -> dict[str, str]:
    """Its environment, with each secret in a file that the service has."""
    found = {}
    for name, value in service["environment"].items():
        if value is None:  # that of `.env`, which need not have it
            continue
        text = interpolated(value)
        if name.endswith("_FILE") and name.startswith("ORDERBUS_"):
            secret = text.removeprefix("/run/secrets/")
            assert secret in service["secrets"], name
            text = str(secrets / secret)
        found[name] = text
    return found


def names(service: dict[str, Any]) -> set[str]:
    return {name.removesuffix("_FILE") for name in service["environment"]}


def interpolated(value: str) -> str:
    """As compose does it: the default if there is one, otherwise a value from the environment file."""
    return re.sub(r"\$\{[A-Z_]+(?::-([^}]*)|:\?[^}]*)\}", lambda m: m[1] if m[1] is not None else "a" * 20, value)


def test_it_fits_the_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((SCHEMAS / "compose-spec.json").read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(compose)


def test_every_service_has_two_workers_by_number(compose: dict[str, Any]) -> None:
    commands = [service["command"] for name, service in compose["services"].items() if name[-1].isdigit()]
    workers = [["run", name, "--worker", index] for name in SERVICES for index in ("0", "1")]
    assert commands == [*workers, *(["run", name, "--worker", "0"] for name in READERS)]


class TestSettings:
    @pytest.mark.parametrize("service", PROCESSES)
    def test_a_worker_gets_all_required_settings_and_no_others(self, compose: dict[str, Any], service: str) -> None:
        for name in (f"{service}-0", f"{service}-1")[: 1 if service in READERS else 2]:
            found = names(compose["services"][name])
            assert required(settings_of(service)) <= found <= known(settings_of(service)).keys()

    def test_a_process_takes_them(
        self, compose: dict[str, Any], secrets: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tools = ("migrate", system_settings(tuple(SERVICES))), ("orderbus", check_settings())
        for name, kind in (*((f"{name}-0", settings_of(name)) for name in PROCESSES), *tools):
            loads(kind, given(compose["services"][name], secrets), monkeypatch)

    @pytest.mark.parametrize("service", SERVICES)
    def test_commands_about_a_service_start_in_its_workers(
        self, compose: dict[str, Any], secrets: Path, service: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They speak HTTP with it. A command that needs the database of another one says so."""
        loads(system_settings(), given(compose["services"][f"{service}-0"], secrets), monkeypatch)
        settings = load_system_settings()
        assert database_of(settings, service).startswith("postgresql://")
        other = next(name for name in SERVICES if name != service)
        with pytest.raises(WrongSettings, match=f"^ORDERBUS_{other.upper()}__DATABASE_URL: is missing"):
            database_of(settings, other)

    def test_operators_reach_every_service(
        self, compose: dict[str, Any], secrets: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = compose["services"]["orderbus"]
        loads(check_settings(), given(service, secrets), monkeypatch)
        settings = load_check_settings()
        assert {api_url(settings, name) for name in PROCESSES} == {f"http://{name}-0:8080" for name in PROCESSES}
        assert names(service) <= {*known(check_settings()), *known(mail_settings())}

    def test_the_example_names_every_variable_and_no_secret(self) -> None:
        wanted = set(re.findall(r"\$\{([A-Z_]+)", (FOLDER / "compose.yaml").read_text())) - {"ORDERBUS_VERSION"}
        lines = (FOLDER / "example.env").read_text().splitlines()
        example = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        assert example.keys() == wanted
        assert not [name for name in example if re.search("PASSWORD|SECRET|TOKEN|KEY", name)]


class TestSecrets:
    def test_each_is_a_file(self, compose: dict[str, Any], secrets: Path) -> None:
        assert compose["secrets"].keys() == {path.name for path in secrets.iterdir()}
        assert all(one["file"] == f"./secrets/{name}" for name, one in compose["secrets"].items())
        used = {name for service in compose["services"].values() for name in service.get("secrets", ())}
        assert used == compose["secrets"].keys()

    def test_others_on_the_host_do_not_see_them(self, secrets: Path) -> None:
        assert secrets.stat().st_mode & 0o077 == 0
        assert (secrets / "api-token").stat().st_mode & 0o777 == 0o444  # containers have other users

    def test_those_that_are_there_stay(self, secrets: Path) -> None:
        before = {path.name: path.read_text() for path in secrets.iterdir()}
        assert len({*before.values()}) == len(before)
        subprocess.run(["sh", str(FOLDER / "secrets.sh"), str(secrets)], check=True)
        assert {path.name: path.read_text() for path in secrets.iterdir()} == before

    def test_a_database_has_the_password_of_its_url(self, secrets: Path, tmp_path: Path) -> None:
        (tmp_path / "psql").write_text('#!/bin/sh\nfor one in "$@"; do echo "$one"; done; cat > /dev/null\n')
        (tmp_path / "psql").chmod(0o755)
        script = (FOLDER / "databases.sh").read_text().replace("/run/secrets", str(secrets))
        done = subprocess.run(
            ["sh", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True, capture_output=True, text=True
        )
        said = dict(re.findall(r"name=(\w+)\n.*\npassword=(\w+)", done.stdout))
        urls = {name: (secrets / f"{name}-database-url").read_text().strip() for name in SERVICES}
        assert urls == {name: f"postgresql://{name}:{said[name]}@postgres:5432/{name}" for name in SERVICES}


class TestFiles:
    def test_only_fulfillment_writes_outside_of_memory(self, compose: dict[str, Any]) -> None:
        workers = {name: one for name, one in compose["services"].items() if one["image"].startswith("orderbus:")}
        assert all(one["read_only"] and one["tmpfs"] == ["/tmp"] for one in workers.values())  # noqa: S108
        mounted = {name: volume for name, one in workers.items() for volume in one.get("volumes", ())}
        assert mounted.keys() == {"fulfillment-0", "fulfillment-1"}
        place = workers["fulfillment-0"]["environment"]["ORDERBUS_FULFILLMENT__FILES"]
        assert {volume.rpartition("}")[2] for volume in mounted.values()} == {f":{place}"}

    def test_no_container_writes_to_the_projects_own_files(self, compose: dict[str, Any]) -> None:
        volumes = [volume for service in compose["services"].values() for volume in service.get("volumes", ())]
        assert all(volume.endswith(":ro") for volume in volumes if volume.startswith("."))


class TestPostgres:
    def test_connections_fit(self, compose: dict[str, Any]) -> None:
        [most] = [int(one.split("=")[1]) for one in compose["services"]["postgres"]["command"] if "max_conn" in one]
        fields = ServiceSettings.model_fields
        of_worker = fields["pool"].default + fields["read_pool"].default + 1
        workers = [name for name in compose["services"] if name[-1].isdigit() and name[:-2] in SERVICES]
        assert len(workers) * of_worker + OF_COMMANDS <= most - SUPERUSER_CONNECTIONS


class TestHealth:
    @pytest.fixture
    def server(self) -> Iterator[tuple[int, list[int]]]:
        """Its port, and the status with which it answers."""
        status = [200]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status[0] if self.path == "/health" else 404)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield server.server_port, status
            server.shutdown()
            thread.join()

    def test_of_a_worker(self, server: tuple[int, list[int]]) -> None:
        port, status = server
        [line] = re.findall(r"HEALTHCHECK.*\\\n    CMD (.*)", (DEPLOY / "Dockerfile").read_text())
        command = [part.replace("8080", str(port)) for part in json.loads(line)]
        assert subprocess.run(command, check=False, timeout=10).returncode == 0
        status[0] = 503
        assert subprocess.run(command, check=False, timeout=10).returncode != 0
        closed = [part.replace(str(port), "1") for part in command]
        assert subprocess.run(closed, check=False, timeout=10, capture_output=True).returncode != 0

    def test_of_kafka(self, compose: dict[str, Any], server: tuple[int, list[int]]) -> None:
        _, *command = compose["services"]["kafka"]["healthcheck"]["test"]
        here = [part.replace("kafka/9092", f"127.0.0.1/{server[0]}") for part in command]
        assert subprocess.run(here, check=False, timeout=10).returncode == 0
        away = [part.replace("kafka/9092", "127.0.0.1/1") for part in command]
        assert subprocess.run(away, check=False, timeout=10, capture_output=True).returncode != 0

    def test_none_starts_a_program_that_takes_long(self, compose: dict[str, Any]) -> None:
        tests = [
            str(one["healthcheck"]["test"])
            for one in compose["services"].values()
            if "test" in one.get("healthcheck", {})
        ]
        assert len(tests) == 2
        assert not [test for test in tests if re.search(r"python|kafka-\w+|java", test)]


class TestMonitoring:
    def test_prometheus_asks_every_worker(self, compose: dict[str, Any]) -> None:
        document = yaml.safe_load((FOLDER / "monitoring/prometheus.yaml").read_text())
        [job] = document["scrape_configs"]
        assert job["job_name"] == "orderbus"
        workers = [f"{name}:8080" for name in compose["services"] if name[-1].isdigit()]
        assert [target for config in job["static_configs"] for target in config["targets"]] == workers

    def test_what_is_mounted_exists(self, compose: dict[str, Any]) -> None:
        for service in compose["services"].values():
            for volume in service.get("volumes", ()):
                source = volume.partition(":")[0]
                if source.startswith("."):
                    assert (FOLDER / source).exists(), source

    def test_the_profile_has_all_three(self, compose: dict[str, Any]) -> None:
        found = {name for name, one in compose["services"].items() if "monitoring" in one.get("profiles", ())}
        assert found == {"prometheus", "grafana", "jaeger"}
        sources = yaml.safe_load((FOLDER / "monitoring/datasources.yaml").read_text())["datasources"]
        assert {re.findall(r"//(\w+):", source["url"])[0] for source in sources} == {"prometheus", "jaeger"}
        [provider] = yaml.safe_load((FOLDER / "monitoring/dashboards.yaml").read_text())["providers"]
        assert any(provider["options"]["path"] in volume for volume in compose["services"]["grafana"]["volumes"])


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in compose["services"].values()}
    assert all(re.search(r":[\w.${}:-]*\d", image) for image in images), images
