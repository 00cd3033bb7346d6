"""Published messages stay readable, and the generated documents are up to date."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, get_args

import jsonschema
import pytest

from deploy.documents import __main__ as generated
from deploy.documents.__main__ import PROJECT, stale, write
from deploy.documents.asyncapi import consumed, document, file_name, json_schema, message_id
from deploy.documents.errors.found import found_codes
from deploy.documents.webhooks import EXAMPLE
from services.declared import declared
from services.notifications.domain.notification_log import Customer, Fact, Line, NotificationLog
from services.notifications.domain.webhook_event import EVENTS, payload
from services.registry import SERVICES
from shared.contracts import TOPICS, published
from shared.contracts.envelope import BadBody, decode, encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.examples.order import ITEMS, NUMBER, STORE_CARD
from shared.contracts.notifications import EmailSent, WebhookDelivered, WebhookEvent
from shared.contracts.webhooks import SENT, WebhookBody
from shared.core import Command, Event, Message, Refusal
from tests.contracts.compatibility import broken
from tests.contracts.publish import BASELINE, GOLDEN

HERE = Path(__file__).parent
OF_OLDER_BUILDS = {EmailSent, WebhookDelivered}
"""Events that are still understood, and no longer sent."""
each_message = pytest.mark.parametrize("kind", published(), ids=lambda kind: f"{kind.type}.{kind.version}")


def test_every_message_has_an_example() -> None:
    assert [kind.__name__ for kind in published() if kind not in EXAMPLES] == []


@each_message
def test_a_published_body_stays_readable_and_loses_nothing(kind: type[Message]) -> None:
    file = GOLDEN / file_name(kind)
    assert file.is_file(), "store it: python -m tests.contracts.publish"

    message = decode(kind, file.read_bytes())

    assert json.loads(encode(message)) == json.loads(file.read_bytes())


def test_what_was_published_is_never_withdrawn() -> None:
    names = {file_name(kind) for kind in published()}
    assert {file.name for folder in (GOLDEN, BASELINE) for file in folder.glob("*.json")} - names == set()


@each_message
def test_a_published_shape_only_ever_widens(kind: type[Message]) -> None:
    then = json.loads((BASELINE / file_name(kind)).read_bytes())
    assert broken(then, json_schema(kind)) == [], "publish a new version of the message instead"


@each_message
def test_the_schema_accepts_the_example_and_the_golden_body(kind: type[Message]) -> None:
    validator = jsonschema.Draft202012Validator(json_schema(kind))
    validator.validate(json.loads(encode(EXAMPLES[kind])))
    validator.validate(json.loads((GOLDEN / file_name(kind)).read_bytes()))


@each_message
def test_unknown_fields_are_named_in_commands_and_ignored_in_events(kind: type[Message]) -> None:
    for path, body in _with_an_unknown_field(json.loads(encode(EXAMPLES[kind]))):
        text = json.dumps(body).encode()
        if issubclass(kind, Command):
            with pytest.raises(BadBody) as wrong:
                decode(kind, text)
            assert any(problem.field.endswith(".".join([*path, "x-unheard-of"])) for problem in wrong.value.problems)
        else:
            assert decode(kind, text) == EXAMPLES[kind]


def _with_an_unknown_field(body: Any) -> Iterator[tuple[list[str], Any]]:
    """The body with an unknown field at the top, and in each of its parts that is an object."""
    yield [], body | {"x-unheard-of": 1}
    for name in ("customer", "origin", "shipping", "payment"):
        if body.get(name):
            yield [name], body | {name: body[name] | {"x-unheard-of": 1}}


REFUSALS = [example for kind, example in EXAMPLES.items() if issubclass(kind, Refusal)]


@pytest.mark.parametrize("example", REFUSALS, ids=lambda example: example.type)
def test_the_codes_of_an_example_are_sent_by_its_service(example: Refusal) -> None:
    for code in (example.code, *(problem.code for problem in example.problems)):
        assert {example.topic.owner, "shared"} & found_codes()[code].where, code


OF_OUTSIDE_SYSTEMS = ("insufficient_funds", "do_not_honor", "expired_or_canceled_card", "smtp_550")
"""Stripe's own codes, and the answer of a mail server."""


def test_the_codes_of_other_examples_are_in_the_code() -> None:
    files = [file for folder in ("services", "shared/shell") for file in (PROJECT / folder).rglob("*.py")]
    sources = "".join(file.read_text(encoding="utf-8") for file in files)
    codes = {code for example in EXAMPLES.values() if isinstance(code := getattr(example, "code", None), str)}
    assert [code for code in codes if f'"{code}"' not in sources and code not in OF_OUTSIDE_SYSTEMS] == []


def test_webhooks_are_documented_as_they_are_sent() -> None:
    assert set(SENT) == set(get_args(WebhookEvent)) == {event for events in EVENTS.values() for event in events}
    paid = Fact("paid", datetime(2026, 3, 3, 14, 8, 2, 417305, UTC), "processing")
    log = NotificationLog(
        number=NUMBER,
        store=STORE_CARD,
        customer=Customer(name="Ada Lovelace", email="ada@example.com"),
        subtotal=5400,
        discount=500,
        tax=480,
        total=5880,
        purchased=5380,
        currency="GBP",
        lines=tuple(
            Line(item.product, item.quantity, item.unit_price, item.line_total, item.is_delivery_charge)
            for item in ITEMS
        ),
        facts=(paid,),
        amount_paid=5380,
    )
    sent = payload(log, "order.received", paid)
    assert json.loads(sent) == EXAMPLE
    assert WebhookBody.model_validate_json(sent, extra="forbid").data.order_number == NUMBER


def test_the_documents_are_fresh() -> None:
    assert stale(PROJECT) == [], "run: python -m deploy.documents"


def test_a_stale_a_missing_and_a_left_over_document_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "documents", cache(generated.documents))
    write(tmp_path)
    assert stale(tmp_path) == []
    (tmp_path / "docs" / "schemas" / "order.paid.1.json").write_text("{}")
    (tmp_path / "docs" / "schemas" / "order.gone.1.json").write_text("{}")
    (tmp_path / "docs" / "asyncapi.json").unlink()

    (tmp_path / "services" / "payments" / "README.md").write_text("")

    assert sorted(stale(tmp_path)) == [
        "docs/asyncapi.json is missing",
        "docs/schemas/order.gone.1.json belongs to no message",
        "docs/schemas/order.paid.1.json is stale",
        "services/payments/README.md is stale",
    ]


@pytest.fixture
def written() -> Any:
    """The AsyncAPI document as it is in `docs/`."""
    return json.loads((PROJECT / "docs" / "asyncapi.json").read_bytes())


class TestAsyncApi:
    def test_it_is_an_asyncapi_3_document(self, written: Any) -> None:
        official = json.loads((HERE / "asyncapi-3.0.0.schema.json").read_bytes())
        problems = [
            f"{list(e.path)}: {e.message[:200]}" for e in jsonschema.Draft7Validator(official).iter_errors(written)
        ]
        assert problems == []

    def test_every_reference_leads_somewhere(self, written: Any) -> None:
        for reference in _references(written):
            found = written
            for step in reference.removeprefix("#/").split("/"):
                found = found[step.replace("~1", "/")]

    def test_every_topic_and_message_is_there_once(self, written: Any) -> None:
        addresses = [channel["address"] for channel in written["channels"].values()]
        dead = [f"{service}.dead-letter.v1" for service in SERVICES]
        assert sorted(addresses, key=str) == sorted([topic.name for topic in TOPICS] + dead + [None], key=str)
        told = [
            name for channel in written["channels"].values() for name in channel["messages"] if name != "dead-letter"
        ]
        webhooks = [f"webhook.{event}" for event in get_args(WebhookEvent)]
        assert sorted(told) == sorted([f"{kind.type}.{kind.version}" for kind in published()] + webhooks)

    def test_the_examples_fit_the_payloads(self, written: Any) -> None:
        for name, message in written["components"]["messages"].items():
            for example in message.get("examples", ()):
                schema = message["payload"] | {"components": written["components"]}
                assert list(jsonschema.Draft7Validator(schema).iter_errors(example["payload"])) == [], name
                headers = message["headers"] | {"components": written["components"]}
                assert list(jsonschema.Draft7Validator(headers).iter_errors(example["headers"])) == [], name

    def test_each_message_has_one_type(self, written: Any) -> None:
        for kind in published():
            _, constant = written["components"]["messages"][message_id(kind)]["headers"]["allOf"]
            assert constant["properties"]["ce_type"] == {"const": kind.type}

    @pytest.mark.parametrize("name", SERVICES)
    def test_it_says_what_each_service_reads_and_sends(self, written: Any, name: str) -> None:
        service = declared()[name]
        sent = {kind: kind.topic.name for kind in service.emitted}
        assert _in(written, f"{name}.sends.") == {(topic, message_id(kind)) for kind, topic in sent.items()}
        read = {(topic.name, message_id(kind)) for topic, kinds in consumed(service).items() for kind in kinds}
        assert _in(written, f"{name}.receives.") == read

    def test_every_event_that_is_still_sent_has_one_service_that_emits_it(self) -> None:
        for name, service in declared().items():
            events = {kind for kind in published() if kind.topic.owner == name and not issubclass(kind, Command)}
            assert {kind for kind in service.emitted if issubclass(kind, Event)} == events - OF_OLDER_BUILDS

    def test_it_is_generated_alike_each_time(self) -> None:
        assert document() == document()


def _in(document: Any, operations: str) -> set[tuple[str, str]]:
    """Topics and messages of the operations whose names begin so, without dead letters."""
    return {
        (operation["channel"]["$ref"].rpartition("/")[2], message["$ref"].rpartition("/")[2])
        for name, operation in document["operations"].items()
        if name.startswith(operations) and "dead-letter" not in name
        for message in operation["messages"]
    }


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


class TestCompatibility:
    """Each of these changes must be detected."""

    THEN: ClassVar[dict[str, Any]] = {
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"type": "integer", "minimum": 0},
            "b": {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]},
            "c": {"$ref": "#/$defs/C"},
        },
        "$defs": {"C": {"type": "string", "enum": ["x", "y"]}},
    }

    def changed(self, **fields: Any) -> dict[str, Any]:
        properties = {name: schema for name, schema in (self.THEN["properties"] | fields).items() if schema}
        return self.THEN | {"properties": properties}

    def test_what_stays_or_widens_is_fine(self) -> None:
        assert broken(self.THEN, self.THEN) == []
        assert broken(self.THEN, self.changed(d={"type": "string"})) == []
        assert broken(self.THEN, self.changed(c={"type": "string", "enum": ["x", "y", "z"]})) == []
        assert broken(self.THEN, self.changed(a={"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]})) == []

    @pytest.mark.parametrize(
        ("now", "problem"),
        [
            ({"required": ["a", "b"]}, "body.b: the field is required now"),
            ({"required": []}, "body.a: the field was always there and may be missing now"),
        ],
    )
    def test_what_must_be_there_stays_so(self, now: dict[str, Any], problem: str) -> None:
        assert broken(self.THEN, self.THEN | now) == [problem]

    @pytest.mark.parametrize(
        ("fields", "problem"),
        [
            ({"a": None}, "body.a: the field is gone"),
            ({"a": {"type": "string"}}, "body.a: was integer, is string"),
            ({"a": {"type": "integer", "minimum": 1}}, "body.a: minimum is stricter"),
            ({"b": {"type": "string", "maxLength": 9}}, "body.b: was null, is string"),
            ({"b": {"anyOf": [{"type": "string", "maxLength": 8}, {"type": "null"}]}}, "body.b: maxLength is stricter"),
            ({"c": {"type": "string", "enum": ["x"]}}, "body.c: ['y'] is no longer allowed"),
            ({"c": {"type": "string", "enum": ["x", "y"], "pattern": "x"}}, "body.c: the pattern changed"),
        ],
    )
    def test_what_narrows_is_named(self, fields: dict[str, Any], problem: str) -> None:
        assert problem in broken(self.THEN, self.changed(**fields))
