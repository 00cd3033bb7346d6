"""docs/privacy.md says of each setting how long it keeps, as it is by default."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from services.staff.settings import StaffSection
from shared.contracts.store_settings import DataSettings
from shared.plurals import counted
from shared.settings import KafkaSettings

PAGE = (Path(__file__).parents[2] / "docs/privacy.md").read_text(encoding="utf-8")
ROWS = {
    found[2]: found[1]
    for found in re.finditer(r"^\| [^|]+ \| [^|]+ \| ([^|]+) \| `([^`]+)`[^|]*\|$", PAGE, re.MULTILINE)
}
SETTINGS = {
    **{f"ORDERBUS_STAFF__{name.upper()}": field for name, field in StaffSection.model_fields.items()},
    **{f"ORDERBUS_KAFKA__{name.upper()}": field for name, field in KafkaSettings.model_fields.items()},
    **{f"data.{name}": field for name, field in DataSettings.model_fields.items()},
}


@pytest.mark.parametrize("name", [name for name in SETTINGS if "keep_" in name.lower()])
def test_what_a_setting_keeps_is_in_the_table(name: str) -> None:
    kept = SETTINGS[name].default
    if kept is None:
        assert ROWS[name] == "for good"
    elif isinstance(kept, timedelta):
        assert ROWS[name] == counted(kept.days, "day")


def test_every_setting_in_the_table_is_one() -> None:
    assert {*ROWS} <= {*SETTINGS}
    assert SETTINGS["ORDERBUS_KAFKA__RETENTION"].default == timedelta(days=7)
