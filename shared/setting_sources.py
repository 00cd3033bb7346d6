"""Where settings come from: the environment, and the TOML file that `ORDERBUS_CONFIG` names. In both, a secret may be
given by the name of its file: `ORDERBUS_API_TOKEN_FILE`, `api_token_file`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, TomlConfigSettingsSource

from shared.setting_types import SecretFile, is_secret

CONFIG = "ORDERBUS_CONFIG"
FILE = "_file"


class FromEnvironment(EnvSettingsSource):
    def __call__(self) -> dict[str, Any]:
        given = super().__call__()
        for name, field in self.settings_cls.model_fields.items():
            path = self.env_vars.get(f"{self.env_prefix.lower()}{name}{FILE}")
            if path is not None and is_secret(field):
                given[name + FILE] = path
        return with_secret_files(self.settings_cls, given)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """What is no JSON is reported with everything else that is wrong."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class FromFile(TomlConfigSettingsSource):
    def __call__(self) -> dict[str, Any]:
        return with_secret_files(self.settings_cls, super().__call__())


def with_secret_files(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """A SecretFile in place of each secret that is given by its file."""
    found = dict(given)
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            if isinstance(within := found.get(name), Mapping):
                found[name] = with_secret_files(section, within)
        elif is_secret(field) and (file := name + FILE) in found:
            found[name] = SecretFile(str(found.pop(file)), twice=name in found)
    return found


def config_file() -> Path | None:
    name = os.environ.get(CONFIG)
    return Path(name) if name else None


def file_problem(file: Path) -> str:
    """Why a TOML file cannot be read; empty if it can."""
    try:
        tomllib.loads(file.read_text("utf-8"))
    except OSError as trouble:
        return f"{file} cannot be read ({trouble.strerror})"
    except ValueError as wrong:  # tomllib's error, or text that is no UTF-8
        reason = wrong if isinstance(wrong, tomllib.TOMLDecodeError) else "it is no UTF-8 text"
        return f"{file} is not TOML: {reason}"
    return ""


def given_names(settings: type[BaseSettings]) -> Iterator[str]:
    """The names of everything that is given with our prefix, in upper case and without it: `SMTP__TLS`."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    for name in os.environ:
        if name.upper().startswith(prefix):
            yield name.upper()[len(prefix) :]
    if file := config_file():
        yield from _names_in(tomllib.loads(file.read_text("utf-8")))


def _names_in(table: Mapping[str, Any], *above: str) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _names_in(value, *above, name)
        else:
            yield "__".join((*above, name)).upper()
