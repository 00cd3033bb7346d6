"""Settings of a store as they are typed (`payment.grace=P3D`), written in a file, and shown."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.cli.console import money
from deploy.cli.errors import UsageError
from deploy.cli.order_changes import minor_units
from shared.contracts.store_settings import StoreSettings

SHORT = re.compile(r"(\d+)([dhms])")
SHAPE = {"d": "P{}D", "h": "PT{}H", "m": "PT{}M", "s": "PT{}S"}
NOT_SET = "-"
Settings = dict[str, dict[str, Any]]
"""By group."""


def typed(pairs: Sequence[str]) -> Settings:
    """What `KEY=VALUE` say. Raises UsageError, which names every wrong one."""
    found: Settings = {}
    wrong = []
    for pair in pairs:
        try:
            _add(found, pair)
        except UsageError as error:
            wrong.append(str(error))
    if wrong:
        raise UsageError("\n".join(wrong))
    return found


def _add(found: Settings, pair: str) -> None:
    name, equals, text = pair.partition("=")
    if not equals:
        raise UsageError(f"{pair!r} is no KEY=VALUE, such as payment.grace=P3D.")
    group, setting, entry = [*name.split(".", 2), "", ""][:3]
    shape = KINDS.get(f"{group}.{setting}")
    if shape is None:
        raise UsageError(f"There is no setting {name}. `orderbus stores show STORE` lists them.")
    if (shape["type"] == "object") is not bool(entry):
        example = f"{group}.{setting}.NAME=VALUE" if shape["type"] == "object" else f"{group}.{setting}=VALUE"
        raise UsageError(f"{name}: write it like {example}.")
    settings = found.setdefault(group, {})
    if entry:
        settings.setdefault(setting, {})[entry] = _entry(name, shape["additionalProperties"], entry, text)
    else:
        settings[setting] = READERS.get(shape["type"], _text)(name, shape, text)


def _kinds() -> dict[str, dict[str, Any]]:
    """The JSON schema of each setting."""
    groups = {name: field.annotation for name, field in StoreSettings.model_fields.items()}
    return {
        f"{group}.{name}": next(one for one in shape.get("anyOf", [shape]) if one["type"] != "null")
        for group, kind in groups.items()
        for name, shape in kind.model_json_schema()["properties"].items()  # type: ignore[union-attr]
    }


def _flag(name: str, shape: Mapping[str, Any], text: str) -> bool:
    if text not in ("true", "false"):
        raise UsageError(f"{name} is true or false, not {text!r}.")
    return text == "true"


def _number(name: str, shape: Mapping[str, Any], text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{name} is a number, not {text!r}.")
    return int(text)


def _list(name: str, shape: Mapping[str, Any], text: str) -> list[Any]:
    return [_text(name, shape["items"], part.strip()) for part in text.split(",") if part.strip()]


def _text(name: str, shape: Mapping[str, Any], text: str) -> str:
    short = SHORT.fullmatch(text) if shape.get("format") == "duration" else None
    return SHAPE[short[2]].format(short[1]) if short else text


def _entry(name: str, shape: Mapping[str, Any], entry: str, text: str) -> object:
    """An amount by its currency, a list or a text."""
    if shape["type"] == "integer":
        return 0 if text in ("", "0") else _amount(name, entry, text)
    return READERS.get(shape["type"], _text)(name, shape, text)


def _amount(name: str, currency: str, text: str) -> int:
    try:
        return minor_units(text, currency)
    except ValueError:
        raise UsageError(f"{name}: {currency!r} is no currency of ISO 4217.") from None


READERS: Mapping[str, Callable[[str, Mapping[str, Any], str], object]] = {
    "boolean": _flag,
    "integer": _number,
    "array": _list,
}
KINDS = _kinds()


def read(file: Path) -> Settings:
    """Settings by group, of a TOML or JSON file. Raises UsageError."""
    try:
        text = file.read_text()
        found = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{file} is no {'JSON' if file.suffix == '.json' else 'TOML'}: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(group, dict) for group in found.values()):
        raise UsageError(f"{file} must have a table for each group of settings, such as [payment].")
    return found


def together(first: Settings, then: Settings) -> Settings:
    return {group: {**first.get(group, {}), **then.get(group, {})} for group in {**first, **then}}


def by_name(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{group}.{name}": value for group, part in settings.items() for name, value in part.items()}


def shown(name: str, value: object) -> str:
    """A value for people, as it can be typed again."""
    if value is None or value in ([], {}):
        return NOT_SET
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        of_money = KINDS.get(name, {}).get("additionalProperties", {}).get("type") == "integer"
        return ", ".join(
            f"{entry}: {money(one, entry) if of_money else shown('', one)}" for entry, one in value.items()
        )
    return str(value)
