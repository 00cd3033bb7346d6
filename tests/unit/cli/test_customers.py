"""`orderbus customers`: what is written, what is said of what was not erased, and that no URL has an email address."""

from __future__ import annotations

import stat
from pathlib import Path

import orjson

from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

EMAIL = "ada@maple.example"
EXPORT, ERASE = (f"POST /api/v1/stores/maple/customers/{what}" for what in ("export", "erase"))
WHOSE = (EMAIL, "--store", "maple")
DONE = {"order_id": "o-1", "number": "ORD-1", "state": "done", "code": "", "text": ""}
OPEN = {"order_id": "o-2", "number": "ORD-2", "state": "refused", "code": "under_way", "text": "It is processing."}


def page(following: str | None, *orders: object, missing: tuple[str, ...] = ()) -> Reply:
    return Reply({"email": EMAIL, "store": "maple", "orders": orders, "missing": missing, "next": following})


def test_all_pages_are_one_file_that_only_its_owner_reads(
    services: FakeServices, orderbus: Orderbus, tmp_path: Path
) -> None:
    services.reply("staff", EXPORT, page("o-1", {"order_id": "o-1"}), page(None, {"order_id": "o-2"}))
    file = tmp_path / "ada.json"
    assert orderbus("customers", "export", *WHOSE, "--out", str(file)).code == 0
    written = orjson.loads(file.read_bytes())
    assert written == {
        "email": EMAIL,
        "store": "maple",
        "orders": [{"order_id": f"o-{n}"} for n in (1, 2)],
        "missing": [],
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.body for one in services.sent()] == [{"email": EMAIL, "after": after} for after in ("", "o-1")]


def test_an_export_that_lacks_a_service_says_so(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("staff", EXPORT, page(None, {"order_id": "o-1"}, missing=("payments",)))
    said = orderbus("customers", "export", *WHOSE)
    assert (said.code, "payments did not answer" in said.err) == (3, True)
    assert orjson.loads(said.out)["orders"] == [{"order_id": "o-1"}]


def test_nothing_is_erased_without_yes(services: FakeServices, orderbus: Orderbus) -> None:
    assert orderbus("customers", "erase", *WHOSE).code == 64
    assert services.received == []


def test_what_was_not_erased_says_why(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("staff", ERASE, page("o-1", DONE), page(None, OPEN))
    said = orderbus("customers", "erase", *WHOSE, "--yes")
    assert said.code == 1 and "Not erased: 1 order." in said.err
    assert [line.split()[:2] for line in said.out.splitlines()[1:]] == [["ORD-1", "yes"], ["ORD-2", "refused"]]
    assert "It is processing." in said.out
    assert len({one.key for one in services.sent()}) == 2


def test_no_url_has_the_address(services: FakeServices, orderbus: Orderbus) -> None:
    for request, answer in ((EXPORT, page(None)), (ERASE, page(None, DONE))):
        services.reply("staff", request, answer)
    assert orderbus("customers", "export", *WHOSE).code == 0
    assert orderbus("customers", "erase", *WHOSE, "--yes").code == 0
    assert not [one for one in services.received if "ada" in f"{one.path}{one.query}"]
