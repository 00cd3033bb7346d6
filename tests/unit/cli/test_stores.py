"""`orderbus stores`: what is sent and shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cli.errors import UsageError
from deploy.cli.store_values import typed
from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

STORE, ACCEPTED = "/stores/northwind", Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202)
BEFORE = {"payment": {"grace": "P7D", "currencies": ["EUR"], "descriptor": None}}
AFTER = {"payment": {"grace": "P3D", "currencies": ["EUR"], "descriptor": None}}


@pytest.fixture(autouse=True)
def known(services: FakeServices) -> None:
    services.reply("checkout", f"GET {STORE}", Reply({"id": "northwind"}))
    services.reply("checkout", f"GET {STORE}/settings", Reply(BEFORE), Reply(AFTER))
    services.reply("checkout", f"PATCH {STORE}", ACCEPTED)


def test_settings_are_changed_and_the_change_is_shown(services: FakeServices, orderbus: Orderbus) -> None:
    pairs = ("payment.grace=3d", "payment.currencies=EUR,USD", "orders.require_sign_in=true")
    said = orderbus("stores", "set", "northwind", *pairs, "--reset", "payment.tries", "--reason", "Stock.")
    assert said.code == 0
    (sent,) = services.sent("PATCH")
    assert sent.body == {
        "settings": {
            "payment": {"grace": "P3D", "currencies": ["EUR", "USD"]},
            "orders": {"require_sign_in": True},
        },
        "reset": ["payment.tries"],
        "reason": "Stock.",
    }
    assert said.out.splitlines()[1].split() == ["payment.grace", "P7D", "P3D"]


def test_how_long_data_is_kept_and_which_orders_are_held_are_typed_like_any_setting() -> None:
    pairs = ["data.keep_abandoned=30d", "data.keep_orders=P730D", "fulfilment.hold_first_order=true"]
    assert typed(pairs) == {
        "data": {"keep_abandoned": "P30D", "keep_orders": "P730D"},
        "fulfilment": {"hold_first_order": True},
    }


def test_settings_of_a_file_and_what_is_typed_besides(
    services: FakeServices, orderbus: Orderbus, tmp_path: Path
) -> None:
    file = tmp_path / "store.toml"
    file.write_text('[payment]\ngrace = "P3D"\ntries = 4\n')
    assert orderbus("stores", "set", "northwind", "payment.tries=5", "--file", str(file)).code == 0
    assert services.sent("PATCH")[0].body["settings"] == {"payment": {"grace": "P3D", "tries": 5}}

    file.write_text("grace = 3\n")
    assert "a table for each group" in orderbus("stores", "set", "northwind", "--file", str(file)).err
    assert "no TOML" in orderbus("stores", "set", "northwind", "--file", __file__).err
    assert "cannot be read" in orderbus("stores", "set", "northwind", "--file", str(tmp_path / "none")).err


def test_all_wrong_words_are_named_at_once() -> None:
    with pytest.raises(UsageError) as wrong:
        typed(["payment.gracious=1", "payment.tries=many", "orders.require_sign_in=yes", "payment"])
    lines = str(wrong.value).splitlines()
    assert [line.split()[0] for line in lines] == ["There", "payment.tries", "orders.require_sign_in", "'payment'"]


def test_stores_their_settings_and_history_are_shown(services: FakeServices, orderbus: Orderbus) -> None:
    row = {"id": "northwind", "name": "Northwind", "currencies": ["EUR"], "sender": "orders@northwind.example"}
    services.reply("checkout", "GET /stores", Reply({"stores": [row, {"id": "odd", "newer": True}], "next": None}))
    assert "Northwind" in orderbus("stores", "list").out

    assert orderbus("stores", "show", "northwind").out.splitlines()[-1].split() == ["payment.descriptor", "-"]

    changes = [{"setting": "payment.grace", "before": "P7D", "after": "P3D"}]
    entry = {"at": "2026-03-03T14:05:00Z", "actor": "anna", "reason": "Stock.", "changes": changes, "id": "c-1"}
    services.reply("checkout", f"GET {STORE}/history", Reply({"changes": [entry], "next": None}))
    shown = orderbus("stores", "history", "northwind").out
    assert all(part in shown for part in ("anna", "payment.grace", "P7D", "P3D", "Stock."))
