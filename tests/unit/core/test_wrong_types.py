"""What a class could not read again is not written, whatever the process does with warnings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from shared.contracts.checkout import OrderCreated
from shared.contracts.envelope import encode
from shared.core.codec import WrongType, dump

WRONG: Any = 3.5
ORDER = OrderCreated(number="1", store="acme", currency="USD").model_copy(update={"number": WRONG})


@dataclass(frozen=True, slots=True)
class Basket:
    things: int = 0


@pytest.mark.parametrize("action", ["ignore", "default", "once", "always"])
def test_a_wrong_type_is_an_error_under_any_filter(action: Literal["ignore", "default", "once", "always"]) -> None:
    with warnings.catch_warnings(action=action, record=True):
        ORDER.model_dump_json()  # so that it was told before
        for _ in range(2):
            with pytest.raises(WrongType, match="a OrderCreated has a value of the wrong type: number"):
                encode(ORDER)
    with pytest.raises(WrongType, match="a Basket has a value of the wrong type: things"):
        dump(Basket(WRONG))


def test_without_any_filter_too() -> None:
    with warnings.catch_warnings():
        warnings.resetwarnings()
        with pytest.raises(WrongType):
            dump(Basket(WRONG))
        assert dump(Basket(3)) == b'{"things":3}'


def test_a_value_that_json_has_not_is_a_wrong_type_too() -> None:
    wrong: Any = object()
    with pytest.raises(WrongType):
        dump(Basket(wrong))
