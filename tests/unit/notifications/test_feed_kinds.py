"""The kinds of feed entries are in the description of an entry, which clients read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from services.notifications import domain, live_feeds

SOURCES = sorted(Path(str(domain.__file__)).parent.glob("*.py"))


def entered() -> set[tuple[str, str]]:
    """(For whom, kind) of every entry that the rules make."""
    calls = [node for file in SOURCES for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    return {
        (call.func.attr.removeprefix("notify_"), ast.literal_eval(call.args[0]))
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("notify_customer", "notify_staff")
    }


def test_each_kind_of_entry_is_described() -> None:
    source = Path(str(live_feeds.__file__)).read_text()
    customers, _, staff = source.partition("Customers: ")[2].partition("More may come")[0].partition("Staff: ")
    described = {("customer", kind) for kind in re.findall(r"`(\w+)`", customers)}
    described |= {("staff", kind) for kind in re.findall(r"`(\w+)`", staff)}
    assert entered() == described
