"""What `orderbus demo --stay` ends with: calls of staff's API that can be pasted."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from deploy.cli.demo import _calls
from deploy.demo.play import Life
from deploy.devstack.stack import Stack

API = json.loads((Path(__file__).parents[3] / "docs/openapi/staff.json").read_text())["paths"]


def test_three_calls_are_routes_of_the_api_and_carry_the_token() -> None:
    stack: Any = SimpleNamespace(data=Path("/tmp/a folder"), ports={"staff": 8105})  # noqa: S108
    life: Any = SimpleNamespace(order=SimpleNamespace(number="ORD-ABCDEFGHJK"))
    said = _calls(cast(Stack, stack), cast(Life, life))
    assert "http://127.0.0.1:8105/api/v1" in said.splitlines()[1]
    assert "--data '/tmp/a folder'" in said
    calls = [shlex.split(line) for line in said.splitlines() if line.startswith("curl ")]
    assert len(calls) == 3
    for words in calls:
        assert words[1:3] == ["-H", "Authorization: Bearer $ORDERBUS_API_TOKEN"]
        url = urlsplit(words[3])
        path = re.sub("ORD-[A-Z]+", "{order}", url.path)
        declared = {each["name"] for each in API[path]["get"].get("parameters", ())}
        assert {name for name, _ in parse_qsl(url.query)} <= declared, words
