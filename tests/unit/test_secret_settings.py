"""Secrets may come from files, and show in nothing that is printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr, ValidationError, create_model
from pydantic.fields import FieldInfo

from deploy.settings import (
    all_settings,
    load_all_settings,
    load_process_settings,
    load_system_settings,
    system_settings,
)
from services.registry import PROCESSES, SERVICES, settings_of
from shared.api_clients import ApiClientSettings
from shared.setting_types import is_secret
from shared.settings import PREFIX, fields_of, name_of
from tests.unit.settings_given import HIDDEN, Given, problems, secrets


class TestSecretFiles:
    @pytest.mark.parametrize(
        "name", ["API_TOKEN", "STRIPE__API_KEY", "FULFILLMENT__LINK_SECRET", "KAFKA__SASL_PASSWORD"]
    )
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_a_secret_comes_from_its_file(self, given: Given, tmp_path: Path, name: str, end: str) -> None:
        (tmp_path / "secret").write_bytes(f"sécret-of-the-file{end}".replace("é", "e").encode())
        sasl = {"KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "KAFKA__SASL_USERNAME": "u"} if "SASL" in name else {}
        given(**{name: None, f"{name}_FILE": str(tmp_path / "secret"), **sasl})
        assert secrets(load_all_settings())[name] == "secret-of-the-file"

    def test_every_secret_may(self, given: Given, tmp_path: Path) -> None:
        names = [name_of(path).removeprefix(PREFIX) for path, field in fields_of(all_settings()) if is_secret(field)]
        values = {
            name: f"postgresql://u@h/{name}" if name.endswith("URL") else f"secret-of-{name}-and-longer"
            for name in names
        }
        for name, value in values.items():
            (tmp_path / name).write_text(value)
        files = {f"{name}_FILE": str(tmp_path / name) for name in names}
        others = {"KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "KAFKA__SASL_USERNAME": "u"}
        others |= {"SMTP__USERNAME": "u", "SMTP__TLS": "tls"}
        given(**dict.fromkeys(names), **files, **others)
        assert secrets(load_all_settings()) == values

    def test_in_the_toml_file_too(self, given: Given, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("token-of-the-file")
        (tmp_path / "url").write_text("postgresql://a@b/c\n")
        (tmp_path / "o.toml").write_text(
            f'api_token_file = "{tmp_path}/token"\n[checkout]\ndatabase_url_file = "{tmp_path}/url"\n'
        )
        given(CONFIG=str(tmp_path / "o.toml"), CHECKOUT__DATABASE_URL=None)
        found = secrets(load_process_settings("checkout"))
        assert (found["API_TOKEN"], found["CHECKOUT__DATABASE_URL"]) == ("token-of-the-file", "postgresql://a@b/c")

    def test_the_environment_comes_before_the_toml_file(self, given: Given, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("token-of-the-file")
        (tmp_path / "o.toml").write_text('api_token = "token-of-the-toml"\n')
        given(CONFIG=str(tmp_path / "o.toml"), API_TOKEN_FILE=str(tmp_path / "token"))
        assert secrets(load_all_settings())["API_TOKEN"] == "token-of-the-file"

    def test_what_is_wrong_with_them_is_named(self, given: Given, tmp_path: Path) -> None:
        (tmp_path / "binary").write_bytes(b"\xff\xfe" + HIDDEN.encode())
        (tmp_path / "long").write_text(HIDDEN * 5000)
        (tmp_path / "lines").write_text(f"{HIDDEN}\n{HIDDEN}\n")
        (tmp_path / "blank").write_text(" " * 20 + "\n")
        (tmp_path / "o.toml").write_text('[notifications]\ndatabase_url_file = "\\u0000"\n')
        given(
            STRIPE__API_KEY_FILE=str(tmp_path / "none"),
            STRIPE__WEBHOOK_SECRET=None,
            STRIPE__WEBHOOK_SECRET_FILE=str(tmp_path / "none"),
            FULFILLMENT__LINK_SECRET=None,
            FULFILLMENT__LINK_SECRET_FILE=str(tmp_path),
            NOTIFICATIONS__FEED_SECRET=None,
            NOTIFICATIONS__FEED_SECRET_FILE=str(tmp_path / "binary"),
            CHECKOUT__DATABASE_URL=None,
            CHECKOUT__DATABASE_URL_FILE=str(tmp_path / "long"),
            PAYMENTS__DATABASE_URL=None,
            PAYMENTS__DATABASE_URL_FILE=str(tmp_path / "lines"),
            API_TOKEN_FILE=str(tmp_path / "blank"),
            FULFILLMENT__DATABASE_URL=None,
            FULFILLMENT__DATABASE_URL_FILE="",
            NOTIFICATIONS__DATABASE_URL=None,
            CONFIG=str(tmp_path / "o.toml"),
        )
        said = problems()
        assert said.pop("STRIPE__API_KEY").startswith("is set, and so is the same name with _FILE: set one of them")
        assert said.pop("STRIPE__WEBHOOK_SECRET").startswith(
            f"its file '{tmp_path}/none' cannot be read (No such file or directory)"
        )
        assert said.pop("FULFILLMENT__LINK_SECRET").startswith(f"its file '{tmp_path}' cannot be read (Is a directory)")
        assert said.pop("NOTIFICATIONS__FEED_SECRET").startswith(f"its file '{tmp_path}/binary' is no UTF-8 text")
        assert said.pop("CHECKOUT__DATABASE_URL") == f"its file '{tmp_path}/long' is longer than 65536 bytes"
        assert said.pop("PAYMENTS__DATABASE_URL") == "contains line breaks or other control characters"
        assert said.pop("API_TOKEN") == "is blank"
        assert said.pop("FULFILLMENT__DATABASE_URL").startswith("the same name with _FILE is empty")
        assert said.pop("NOTIFICATIONS__DATABASE_URL").endswith("cannot be read (no file name)")
        assert said == {}


class TestSecretsAreSecret:
    MODELS = (*(settings_of(name) for name in PROCESSES), all_settings(), system_settings(), system_settings(SERVICES))

    def test_every_field_that_is_named_like_one(self) -> None:
        """… is one, or is a URL for HTTP, which has no password in it."""
        words = ("token", "secret", "password", "key", "url", "base", "endpoint")
        harmless = {"token_sha256", "key_file"}  # a digest, a path
        shown = {
            f"{model.__name__}.{name}"
            for model, name, field in walk(*self.MODELS, ApiClientSettings)
            if any(word in name for word in words) and not is_secret(field) and name not in harmless
            if accepts(field, f"https://u:{HIDDEN}@h/")
        }
        assert shown == set()

    def test_every_secret_may_come_from_a_file(self) -> None:
        """A plain SecretStr could not."""
        plain = [
            f"{m.__name__}.{name}"
            for m, name, field in walk(*self.MODELS)
            if field.annotation is SecretStr and not field.metadata
        ]
        assert plain == []

    def test_none_shows_in_what_is_printed(self, given: Given) -> None:
        names = [name_of(path).removeprefix(PREFIX) for path, field in fields_of(all_settings()) if is_secret(field)]
        values = {name: f"postgresql://u:{HIDDEN}@h/d" if name.endswith("URL") else HIDDEN * 2 for name in names}
        others = {"KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "KAFKA__SASL_USERNAME": "u"}
        given(**values, **others, SMTP__USERNAME="u", SMTP__TLS="tls")
        for settings in (load_all_settings(), load_system_settings(SERVICES)):
            for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
                assert HIDDEN not in shown
        assert set(secrets(load_all_settings()).values()) == set(values.values())


def accepts(field: FieldInfo, value: str) -> bool:
    definition: Any = (field.annotation, field)
    try:
        create_model("Holder", value=definition)(value=value)
    except ValidationError:
        return False
    return True


def walk(*models: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str, FieldInfo]]:
    """Every field of the models and of those within them."""
    for model in models:
        for name, field in model.model_fields.items():
            yield model, name, field
            inner = [part for part in (field.annotation, *get_args(field.annotation)) if isinstance(part, type)]
            yield from walk(*(part for part in inner if issubclass(part, BaseModel)))
