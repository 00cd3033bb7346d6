"""A restore into a database that holds no backup says so, and not to make empty tables."""

from __future__ import annotations

import pytest

from deploy.restore.run import NotRestored, restore
from deploy.settings import load_system_settings
from tests.integration.conftest import NewDatabase


async def test_a_database_without_a_backup(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERBUS_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setenv("ORDERBUS_API_TOKEN", "a-token-for-this-test")
    monkeypatch.setenv("ORDERBUS_CHECKOUT__DATABASE_URL", await new_database())

    with pytest.raises(
        NotRestored, match=r"^ORDERBUS_CHECKOUT__DATABASE_URL: .*no tables. Restore the backup of"
    ) as it:
        await restore(load_system_settings(["checkout"]), "checkout", None, print)

    assert it.value.exit_code == 5
