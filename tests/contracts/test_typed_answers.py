"""Each answer in the OpenAPI documents says which fields it has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.documents.__main__ import PROJECT
from services.registry import PROCESSES

WITHOUT = {"GET /openapi.json 200"}
"""The document itself."""
NO_BODY = {"204", "302", "303", "304", "412", "416"}


def untyped(document: dict[str, Any], schema: dict[str, Any], place: str) -> Iterator[str]:
    """Where an answer, or an element of a list in it, has fields of which nothing is said."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    kinds = [part for kind in ("anyOf", "oneOf", "allOf") for part in schema.get(kind, ())]
    for part in kinds:
        yield from untyped(document, part, place)
    if schema.get("type") == "array":
        yield from untyped(document, schema.get("items", {}), f"{place}[]")
    elif schema.get("type") == "object" and not schema.get("properties"):
        if not isinstance(schema.get("additionalProperties"), dict):
            yield place
    elif not kinds and not {"type", "const", "enum"} & {*schema}:
        yield place
    for name, field in schema.get("properties", {}).items():
        if field.get("type") == "array":
            yield from untyped(document, field, f"{place}.{name}")


@pytest.mark.parametrize("service", PROCESSES)
def test_each_answer_has_a_schema(service: str) -> None:
    document = json.loads((PROJECT / f"docs/openapi/{service}.json").read_bytes())
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                place = f"{method.upper()} {path} {status}"
                shared = response.get("$ref", "").rpartition("/")[2]
                contents = (document["components"]["responses"][shared] if shared else response).get("content", {})
                if status not in NO_BODY and not contents:
                    found.append(f"{place}: no content")
                for content in contents.values():
                    found += untyped(document, content["schema"], place)
    assert {*found} - WITHOUT == set(), "say in its Declaration what it gives"
