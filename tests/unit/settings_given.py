"""Settings of all processes, given to a test by the environment, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from deploy.settings import load_all_settings
from services.registry import SERVICES
from shared.setting_types import is_secret
from shared.settings import PREFIX, Settings, WrongSettings, fields_of, name_of

HIDDEN = "hidden-hidden-hidden"
REQUIRED = {
    "KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
    **{f"{name.upper()}__DATABASE_URL": f"postgresql://u:{HIDDEN}@h/{name}" for name in SERVICES},
    "STRIPE__API_KEY": HIDDEN,
    "STRIPE__WEBHOOK_SECRET": HIDDEN,
    "FULFILLMENT__LINK_SECRET": HIDDEN,
    "FULFILLMENT__DATA_KEYS": HIDDEN * 2,
    "NOTIFICATIONS__FEED_SECRET": HIDDEN,
}
Given = Callable[..., None]


def problems(load: Callable[[], Settings] = load_all_settings) -> dict[str, str]:
    """What is wrong, by the names of the settings without the prefix."""
    with pytest.raises(WrongSettings) as wrong:
        load()
    assert HIDDEN not in str(wrong.value)
    assert wrong.value.exit_code == 2
    lines = [line for line in str(wrong.value).splitlines() if line.startswith(PREFIX)]
    return dict(line.removeprefix(PREFIX).split(": ", 1) for line in lines)


def remedies(load: Callable[[], Settings] = load_all_settings) -> list[str]:
    """What is to be done about it: the lines that name no setting."""
    with pytest.raises(WrongSettings) as wrong:
        load()
    return [line for line in str(wrong.value).splitlines() if not line.startswith(PREFIX)]


def secrets(settings: Settings) -> dict[str, str]:
    """All that are set, by their names without the prefix."""
    found = {}
    for path, field in fields_of(type(settings)):
        value: object = settings
        for part in path:
            value = getattr(value, part)
        if is_secret(field) and isinstance(value, SecretStr):
            found[name_of(path).removeprefix(PREFIX)] = value.get_secret_value()
    return found
