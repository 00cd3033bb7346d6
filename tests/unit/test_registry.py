"""One registry names the services; what each needs of the settings is its own."""

from __future__ import annotations

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from deploy.devstack.data_folder import PORT_NAMES
from deploy.settings import all_settings, database_of, load_all_settings, load_process_settings, load_system_settings
from services.declared import declared
from services.registry import PROCESSES, READERS, SERVICES, reader_of, settings_of
from shared.contracts import TOPICS
from shared.settings import (
    PREFIX,
    EdgeSettings,
    ServiceSettings,
    Settings,
    WrongSettings,
    fields_of,
    name_of,
)

FOLDER = Path(__file__).parents[2] / "services"
SHARED = {f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS": "kafka:9092", f"{PREFIX}API_TOKEN": "a" * 16}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for path, _ in fields_of(all_settings()):
        monkeypatch.delenv(name_of(path), raising=False)
    monkeypatch.delenv(f"{PREFIX}CONFIG", raising=False)


def given(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    for name, value in (SHARED | {PREFIX + name: value for name, value in settings.items()}).items():
        monkeypatch.setenv(name, value)


def test_every_service_is_registered() -> None:
    assert sorted(PROCESSES) == sorted(path.parent.name for path in FOLDER.glob("*/__init__.py"))
    assert set(PROCESSES) <= set(PORT_NAMES)


def test_every_service_owns_topics() -> None:
    assert set(SERVICES) == {topic.owner for topic in TOPICS} - {"storefront"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_declared_as_registered(name: str) -> None:
    assert declared()[name].name == name
    kind = settings_of(name)
    section = kind.model_fields[name].annotation
    assert issubclass(kind, Settings)
    assert isinstance(section, type) and issubclass(section, ServiceSettings)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_is_there_as_registered_and_needs_no_setting_of_its_own(name: str) -> None:
    assert callable(reader_of(name))
    kind = settings_of(name)
    section = kind.model_fields[name].annotation
    assert isinstance(section, type) and issubclass(section, EdgeSettings)
    assert not [path for path, field in fields_of(kind) if path[0] == name and field.is_required()]


def test_a_worker_asks_for_nothing_of_other_services(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, CHECKOUT__DATABASE_URL="postgresql://a@b/c", STRIPE__API_KEY="", FULFILLMENT__LINK_SECRET="x")
    settings = load_process_settings("checkout")
    assert settings.service("checkout").database_url.get_secret_value() == "postgresql://a@b/c"


def test_every_problem_is_named_at_once_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, STRIPE__API_KEY="", FULFILLMENT__LINK_SECRET="short", SMTP__PROT="25", NOTIFICATIONS__POOL="x")
    with pytest.raises(WrongSettings) as wrong:
        load_all_settings()
    *problems, missing, misspelt, value = str(wrong.value).splitlines()
    lines = dict(line.split(": ", 1) for line in problems)
    assert "`orderbus up`" in missing and "`orderbus up`" not in "".join([*problems, misspelt, value])
    assert misspelt.startswith("Correct a misspelt name where it is set")
    assert value.startswith("Correct a wrong value where it is set")
    required = {name_of(path) for path, field in fields_of(all_settings()) if field.is_required()} - SHARED.keys()
    invalid = {f"{PREFIX}{name}" for name in ("FULFILLMENT__LINK_SECRET", "NOTIFICATIONS__POOL", "SMTP__PROT")}
    assert {f"{PREFIX}PAYMENTS__DATABASE_URL", f"{PREFIX}STRIPE__WEBHOOK_SECRET"} <= required
    assert lines.keys() == required | invalid
    assert lines[f"{PREFIX}STRIPE__API_KEY"].startswith("is missing (see Stripe's dashboard")
    assert lines[f"{PREFIX}FULFILLMENT__LINK_SECRET"].startswith("needs at least 16 characters (make one with")
    assert "short" not in str(wrong.value)


def test_a_section_that_is_given_as_one_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}KAFKA", "localhost:9092")
    with pytest.raises(WrongSettings, match=f"^{PREFIX}KAFKA: .*{PREFIX}KAFKA__"):
        load_all_settings()


def test_commands_for_the_whole_system_need_no_secret_of_an_outside_system(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = {f"{name.upper()}__DATABASE_URL": f"postgresql://a@b/{name}" for name in SERVICES}
    given(monkeypatch, **urls, FULFILLMENT__LINK_SECRET="x" * 16)
    settings = load_system_settings()
    assert [database_of(settings, name) for name in SERVICES] == [f"postgresql://a@b/{n}" for n in SERVICES]


def test_settings_come_from_a_file_of_all_services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "orderbus.toml"
    file.write_text('[stripe]\napi_key = "sk"\n[checkout]\ndatabase_url = "postgresql://a@b/c"\nbatch = 7\n')
    given(monkeypatch, CONFIG=str(file))
    assert load_process_settings("checkout").service("checkout").batch == 7


def test_brokers_that_must_have_a_record_are_no_more_than_its_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, CHECKOUT__DATABASE_URL="postgresql://a@b/c", KAFKA__REPLICATION="3")
    assert load_process_settings("checkout").kafka.in_sync() == 2
    monkeypatch.setenv(f"{PREFIX}KAFKA__MIN_INSYNC_REPLICAS", "4")
    with pytest.raises(WrongSettings) as wrong:
        load_process_settings("checkout")
    said = f"{PREFIX}KAFKA__MIN_INSYNC_REPLICAS: must be at most {PREFIX}KAFKA__REPLICATION, which is 3"
    assert str(wrong.value).splitlines()[0].startswith(said)


def test_every_compacted_topic_can_be_made_again_from_rows() -> None:
    """After Kafka was lost. What makes a record is of one of the service's states, and of the topic's type."""
    for service in declared().values():
        compacted = {kind for topic, kinds in service.emits.items() if topic.compacted for kind in kinds}
        hints = (get_type_hints(make)["return"] for make in service.status_records.values())
        made = {kind for hint in hints for kind in (get_args(hint) or (hint,))} - {type(None)}
        assert made == compacted, service.name
        assert set(service.status_records) <= {table.kind for table in service.storage.states}
