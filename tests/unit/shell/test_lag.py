"""How much is still to be read, as far as a consumer knows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from aiokafka import TopicPartition

from shared.settings import KafkaSettings
from shared.shell.kafka.catch_up import _behind
from shared.shell.kafka.source import KafkaSource

PLACE = TopicPartition("t", 0)


def consumer(position: int | None, stable: int | None, high: int | None) -> Any:
    state = SimpleNamespace(has_valid_position=position is not None, position=position)
    found = mock.Mock()
    found.assignment.return_value = {PLACE}
    found.last_stable_offset.return_value, found.highwater.return_value = stable, high
    found._subscription.subscription.assignment.state_value.return_value = state
    return found


@pytest.mark.parametrize(
    ("position", "stable", "high", "lag"),
    [
        (3, 5, 5, 2),
        (5, 5, 5, 0),
        (0, 5, 5, 5),
        (5, 5, 9, 0),
        (3, 5, 9, 2),
        (3, None, 9, 6),
        (3, -1, 9, 6),
        (None, 5, 5, 0),
        (3, None, None, 0),
    ],
    ids=[
        *("some", "none", "nothing was read yet", "a transaction is open", "some before an open transaction"),
        *("only the end is known", "no stable offset", "position unknown", "end unknown"),
    ],
)
def test_lag(position: int | None, stable: int | None, high: int | None, lag: int) -> None:
    source = KafkaSource(KafkaSettings(bootstrap_servers="nowhere:1"), "group", "member", ["t"])
    source._consumer = consumer(position, stable, high)
    assert source.lag() == lag
    known = position is not None and high is not None
    assert _behind(source._consumer, PLACE) is (lag > 0 if known else True)
