"""What the key of a message's record is, as its docstring or that of its module says."""

from __future__ import annotations

import re
import sys

from shared.contracts.examples.order import ORDER, STORE
from shared.core import Message

KEY = re.compile(r"Key: (.+?)(?:, unless a message says otherwise)?\.(?= |$)")
EXAMPLES = {
    "the order id": ORDER,
    "the store's id": STORE,
    "<store>": STORE,
    "<sku>": "atlas",
    "<product>": "atlases",
    "<pool>": "gift-cards",
    "<offer>": "gold",
    "<id>": "survival",
    "<connection>": "members",
}
"""Of what stands in a key."""


def key_of(kind: type[Message]) -> str:
    """`the order id`, `` `<store>/<sku>` ``."""
    texts = (kind.__doc__ or "", sys.modules[kind.__module__].__doc__ or "")
    found = (KEY.search(" ".join(text.split())) for text in texts)
    said = next((one[1] for one in found if one), "the order id")
    return said.partition(", which")[0].partition(", or")[0]


def example_key(kind: type[Message]) -> str:
    key = key_of(kind).strip("`")
    for part, example in EXAMPLES.items():
        key = key.replace(part, example)
    return key
