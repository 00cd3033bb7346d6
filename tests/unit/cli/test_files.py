"""`orderbus files`, and `orderbus delivery attach --file`: what is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import LOST, FakeServices, Reply, problem

BOOK = {"name": "set/book.json", "size": 2, "modified": "2026-01-02T03:04:05Z", "etag": '"x"'}
PUT = "PUT /stores/acme/files/set/book.json"
ATTACH = "PUT /orders/o-1/items/1/2/file"


def a_file(folder: Path) -> str:
    file = folder / "book.json"
    file.write_text("{}")
    return str(file)


def test_a_file_is_uploaded_under_its_name(services: FakeServices, orderbus: Orderbus, tmp_path: Path) -> None:
    services.reply("checkout", "GET /stores/acme", Reply({"id": "acme"}))
    services.reply("fulfillment", PUT, Reply(BOOK))
    said = orderbus("files", "put", "acme", a_file(tmp_path), "--name", "set/book.json")
    assert (said.code, said.err) == (0, "set/book.json of acme is uploaded, 2 bytes.\n")
    assert [one.body for one in services.sent("PUT")] == [{}]
    assert orderbus("files", "put", "acme", str(tmp_path / "missing")).code == 64


def test_files_are_listed_to_the_end_and_removed(services: FakeServices, orderbus: Orderbus) -> None:
    first, last = Reply({"files": [BOOK], "next": "set/book.json"}), Reply({"files": [BOOK], "next": None})
    services.reply("fulfillment", "GET /stores/acme/files", first, last)
    said = orderbus("files", "list", "acme")
    assert (said.code, said.out.count("set/book.json")) == (0, 2)
    services.reply("fulfillment", "DELETE /stores/acme/files/book.json", Reply(BOOK), problem(404, "not_found"))
    assert orderbus("files", "remove", "acme", "book.json").code == 0
    gone = orderbus("files", "remove", "acme", "book.json")
    assert (gone.code, "orderbus files list acme" in gone.err) == (1, True)


@pytest.mark.parametrize("name", ["../../other/files/book.json", "set/../book.json", "./book.json", "set//book.json"])
def test_no_name_leads_to_another_stores_files(
    services: FakeServices, orderbus: Orderbus, tmp_path: Path, name: str
) -> None:
    services.reply("checkout", "GET /stores/acme", Reply({"id": "acme"}))
    said = orderbus("files", "put", "acme", a_file(tmp_path), "--name", name)
    assert (said.code, name in said.err, services.sent("PUT")) == (64, True, [])
    assert (orderbus("files", "remove", "acme", name).code, services.sent("DELETE")) == (64, [])


def test_a_file_is_attached_to_an_item(services: FakeServices, orderbus: Orderbus, order: str, tmp_path: Path) -> None:
    services.reply("fulfillment", ATTACH, Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202))
    words = ("delivery", "attach", order, "--item", "1/2", "--file", a_file(tmp_path), "--reason", "Made & sent.")
    said = orderbus(*words, "--name", "Für Ada.pdf", "--quiet")
    assert (said.code, said.err) == (0, "ORD-1: attach accepted. `orderbus order ORD-1` shows the result.\n")
    (sent,) = services.sent("PUT")
    assert sent.query == {"name": "Für Ada.pdf", "note": "", "notify": "false", "reason": "Made & sent."}
    assert orderbus(*words, "--link", "https://acme.example").code == 64


def test_a_lost_answer_says_how_to_repeat_it(
    services: FakeServices, orderbus: Orderbus, order: str, tmp_path: Path
) -> None:
    services.reply("fulfillment", ATTACH, LOST)
    words = ("--item", "1/2", "--file", a_file(tmp_path), "--reason", "Made.", "--idempotency-key", "k-1")
    said = orderbus("delivery", "attach", order, *words)
    assert (said.code, "k-1" in said.err) == (4, True)
